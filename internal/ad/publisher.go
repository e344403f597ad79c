package ad

// Publisher sells the space on its properties.
type Publisher struct {
	ID     ID
	Name   string
	Domain string // the business's own, for sellers.json
	Status Status
	Stamp
}
