package ad

// Publisher sells the space on its properties.
type Publisher struct {
	ID     ID
	Name   string
	Domain string // the business's own, for sellers.json
	Status Status
	Stamp
}

// Validate checks the fields that people set. The error is an [Invalid].
func (p Publisher) Validate() error {
	var c checks
	c.name("name", p.Name)
	c.domain("domain", p.Domain)
	c.status(p.Status)
	return c.err()
}
