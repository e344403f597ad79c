package settle

import "github.com/hayate-ads/hayate/internal/money"

// Stats counts what settling did. Sums over batches are sums of fields.
type Stats struct {
	Segments    int64
	Records     int64
	Impressions int64 // valid and first
	Clicks      int64
	Conversions int64
	Wins        int64
	Duplicates  int64
	Invalid     int64
	Test        int64
	Late        int64
	Charged     money.Micros
	Overage     money.Micros
	Returned    money.Micros
	Lost        int64 // processes declared lost
	Stalled     int64 // streams that cannot go on
	Odd         map[Odd]int64
}

func (s *Stats) add(t Stats) {
	s.Segments += t.Segments
	s.Records += t.Records
	s.Impressions += t.Impressions
	s.Clicks += t.Clicks
	s.Conversions += t.Conversions
	s.Wins += t.Wins
	s.Duplicates += t.Duplicates
	s.Invalid += t.Invalid
	s.Test += t.Test
	s.Late += t.Late
	s.Charged += t.Charged
	s.Overage += t.Overage
	s.Returned += t.Returned
	s.Lost += t.Lost
	s.Stalled += t.Stalled
	for why, n := range t.Odd {
		if s.Odd == nil {
			s.Odd = make(map[Odd]int64)
		}
		s.Odd[why] += n
	}
}
