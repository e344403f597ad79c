package postgres

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
)

// plan works out what is credited to which line item and day.
func (c *crediting) plan(lineItems []ad.ID) error {
	ofLineItem := map[ad.ID][]*creditCell{}
	for _, cell := range c.cells {
		ofLineItem[cell.LineItem] = append(ofLineItem[cell.LineItem], cell)
	}
	for _, id := range lineItems {
		cells := ofLineItem[id]
		if len(cells) == 0 {
			continue
		}
		line, err := c.planLineItem(id, cells)
		if err != nil {
			return err
		}
		c.lines = append(c.lines, line)
		c.total.Impressions += line.Impressions
		c.total.Charged += line.Charged
		c.total.Revenue += line.Revenue
	}
	return nil
}

func (c *crediting) planLineItem(id ad.ID, cells []*creditCell) (CorrectionLine, error) {
	micros, impressions := c.room(id)
	charged, missing := attribute(c.hours(cells, func(k *creditCell) int64 { return int64(k.Charged) }), micros)
	if missing > 0 {
		return CorrectionLine{}, fmt.Errorf("%w (line item %d)", ErrBooks, id)
	}
	// The cells' impressions are worked out; the budgets know how many there are at most.
	counted, excess := attribute(c.hours(cells, func(k *creditCell) int64 { return k.Impressions }), impressions)
	for i := len(cells) - 1; i >= 0 && excess > 0; i-- {
		less := min(excess, cells[i].Impressions)
		cells[i].Impressions -= less
		excess -= less
	}
	line := CorrectionLine{LineItem: id, Name: c.names[id]}
	for _, cell := range cells {
		line.Impressions += cell.Impressions
		line.Charged += cell.Charged
		line.Revenue += cell.Revenue
	}
	for day, n := range charged {
		key := BudgetKey{id, day}
		c.days[key] = c.days[key].Add(Amount{Micros: micro(n)})
	}
	for day, n := range counted {
		key := BudgetKey{id, day}
		c.days[key] = c.days[key].Add(Amount{Impressions: n})
	}
	return line, nil
}

// room is what the days of a line item were charged, credits taken off.
func (c *crediting) room(id ad.ID) (micros, impressions map[event.Day]int64) {
	micros, impressions = map[event.Day]int64{}, map[event.Day]int64{}
	for key, account := range c.accounts {
		if key.lineItem == id && !key.lifetime {
			micros[key.day], impressions[key.day] = int64(account.settled.Micros), account.settled.Impressions
		}
	}
	return micros, impressions
}

// hourAmount is an amount of one UTC hour, and the days that it may belong to:
// in a zone that is half an hour off, two days share the hour around midnight.
type hourAmount struct {
	first, last event.Day
	amount      int64
}

func (c *crediting) hours(cells []*creditCell, amount func(*creditCell) int64) []hourAmount {
	byHour := map[int64]int64{}
	for _, cell := range cells {
		byHour[cell.Hour] += amount(cell)
	}
	var hours []hourAmount
	for _, hour := range slices.Sorted(maps.Keys(byHour)) {
		start := time.Unix(hour, 0)
		hours = append(hours, hourAmount{c.dayAt(start), c.dayAt(start.Add(time.Hour - 1)), byHour[hour]})
	}
	return hours
}

// attribute books amounts of hours under days, none of which takes more than its
// room, and returns what found no room in any of them.
//
// The ledger's day is the lease's, which may differ from that of the hour: by the
// processes' clocks around midnight, and in hours that two days share. Hours of one
// day come first, as they have no choice; what then is too much for a day goes to
// the nearest one that has room, so that no day's ledger falls below zero.
func attribute(hours []hourAmount, room map[event.Day]int64) (booked map[event.Day]int64, missing int64) {
	booked = map[event.Day]int64{}
	take := func(h *hourAmount, day event.Day) {
		if n := min(h.amount, room[day]-booked[day]); n > 0 {
			booked[day] += n
			h.amount -= n
		}
	}
	left := slices.Clone(hours)
	for _, shared := range []bool{false, true} {
		for i := range left {
			if h := &left[i]; (h.first != h.last) == shared {
				take(h, h.first)
				take(h, h.last)
			}
		}
	}
	days := slices.Sorted(maps.Keys(room))
	for i := range left {
		h := &left[i]
		if h.amount == 0 {
			continue
		}
		nearest := slices.Clone(days)
		slices.SortStableFunc(nearest, func(a, b event.Day) int { return cmp.Compare(distance(a, h.first), distance(b, h.first)) })
		for _, day := range nearest {
			take(h, day)
		}
		missing += h.amount
	}
	return booked, missing
}

func distance(a, b event.Day) event.Day { return max(a-b, b-a) }

// preview is what was planned.
func (c *crediting) preview() CorrectionPreview {
	return CorrectionPreview{Credit: c.total, LineItems: c.lines, Folded: c.folded}
}
