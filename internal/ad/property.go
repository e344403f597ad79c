package ad

// PropertyKind tells what kind of inventory a property is.
type PropertyKind string

const (
	Site PropertyKind = "site"
	App  PropertyKind = "app"
	DOOH PropertyKind = "dooh" // screens in public places
)

// Property is one site, app or network of screens of a publisher.
type Property struct {
	ID           ID
	PublisherID  ID
	Name         string
	Kind         PropertyKind
	Domain       string   // of a site or of who runs the screens: "news.example"; of an app: its store bundle
	Categories   []string // of its content, values of rule.Category, ascending
	RevenueShare int      // publisher's share of a price in basis points, 0 to 10000
	Status       Status
	Stamp
}

// MaxShare is the whole of a price in basis points.
const MaxShare = 10_000

// Validate checks the fields that people set. The error is an [Invalid].
func (p Property) Validate() error {
	var c checks
	c.parent("publisher_id", p.PublisherID)
	c.name("name", p.Name)
	c.status(p.Status)
	c.between("revenue_share", p.RevenueShare, 0, MaxShare)
	c.categories("categories", p.Categories, maxCategories)
	switch p.Kind {
	case Site, DOOH:
		c.domain("domain", p.Domain)
	case App:
		c.bundle("domain", p.Domain)
	default:
		c.fail("kind", Unknown, "has to be site, app or dooh")
	}
	return c.err()
}

// bundle checks an app's id in its store: com.example.app, or digits.
func (c *checks) bundle(field, id string) {
	switch {
	case id == "":
		c.fail(field, Required, "has to be given")
	case len(id) > maxDomain:
		c.fail(field, TooLong, "has more than %d bytes", maxDomain)
	}
	for i := range len(id) {
		if b := id[i]; b != '.' && b != '-' && b != '_' && (b < '0' || b > '9') && (b|0x20 < 'a' || b|0x20 > 'z') {
			c.fail(field, BadSyntax, "has to be the app's id in its store, such as com.example.app")
			return
		}
	}
}
