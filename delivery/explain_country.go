package delivery

import (
	"github.com/hayate-ads/hayate/delivery/auction"
	"github.com/hayate-ads/hayate/internal/rule"
)

// inCountry puts the visitor into a country, whatever the address says: who asks
// for an explanation is seldom where the visitor would be. Nothing finer is known
// of such a visitor; "" changes nothing.
func inCountry(asked *auction.Request, country string) error {
	if country == "" {
		return nil
	}
	if !rule.Country.Valid(country) {
		return invalidRequest("country is an ISO 3166-1 code in capitals, such as JP")
	}
	query := new(auction.Request).Query
	for _, d := range rule.Dimensions() {
		switch d {
		case rule.Country, rule.Region, rule.City, rule.PostalCode, rule.Metro, rule.Near, rule.VisitorHour:
			continue
		}
		for value := range asked.Query.Values(d) {
			query.Add(d, value)
		}
	}
	query.AddText(rule.Country, country)
	query.Hours = asked.Query.Hours
	asked.Query, asked.Country = query, [2]byte{country[0], country[1]}
	return nil
}
