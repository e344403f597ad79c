package ad

// PropertyKind tells a site from an app.
type PropertyKind string

const (
	Site PropertyKind = "site"
	App  PropertyKind = "app"
)

// Property is one site or app of a publisher.
type Property struct {
	ID           ID
	PublisherID  ID
	Name         string
	Kind         PropertyKind
	Domain       string // of a site: "news.example"; of an app: its store bundle
	RevenueShare int    // publisher's share of a price in basis points, 0 to 10000
	Status       Status
	Stamp
}
