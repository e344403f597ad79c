package workload

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/hayate-ads/hayate/delivery/target"
	"github.com/hayate-ads/hayate/internal/rule"
)

// Trial is the workload of n line items in an index and in a yardstick, with
// requests for both: what the benchmarks of both measure.
type Trial struct {
	Index     *target.Index
	Live      target.Mask // the line items with a lease
	Every     target.Mask // all
	Queries   []target.Query
	Supplies  []*target.Supply
	Yardstick *Yardstick
	Asked     []*Asked
	Prices    []float64 // by place

	BuildSeconds float64 // of the index alone
	BuildBytes   uint64  // that it holds
}

// NewTrial makes a trial; the place of a line item is its rank by price.
func NewTrial(seed uint64, mix Mix, n, requests int) (*Trial, error) {
	table := new(rule.Table)
	records := make([]Record, 0, n)
	for item := range Each(seed, mix, n) {
		records = append(records, Record{float64(item.CPM), item.Size, item.Live, table.Pack(item.Rule)})
	}
	slices.SortStableFunc(records, func(a, b Record) int { return cmp.Compare(b.Price, a.Price) })
	t := &Trial{}
	if err := t.index(records, table); err != nil {
		return nil, err
	}
	t.Every, t.Live = t.Index.All(), t.Index.All()
	for i := range records {
		t.Prices = append(t.Prices, records[i].Price)
		if from, to := t.Index.RowsOf(i); !records[i].Live {
			t.Live.Set(from, to, false)
		}
	}
	t.Yardstick = NewYardstick(records, table)
	numbers := make(map[string]uint32, table.Len())
	for number := range uint32(table.Len()) {
		numbers[table.Text(number)] = number
	}
	t.ask(Requests(seed, mix, requests), numbers)
	return t, nil
}

func (t *Trial) index(records []Record, table *rule.Table) (err error) {
	items := make([]target.Item, len(records))
	shapes := make([]uint16, len(Sizes))
	for i := range shapes {
		shapes[i] = uint16(i)
	}
	for i := range records {
		size := records[i].Size
		items[i] = target.Item{Rule: records[i].Rule, Shapes: shapes[size : size+1]}
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	t.Index, err = target.New(items, table, []*time.Location{time.UTC})
	t.BuildSeconds = time.Since(start).Seconds()
	if err != nil {
		return fmt.Errorf("workload: %w", err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.BuildBytes = after.HeapAlloc - before.HeapAlloc
	runtime.KeepAlive(items)
	return nil
}

func (t *Trial) ask(requests []Request, numbers map[string]uint32) {
	monday := time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC)
	var hours [7 * 24]*target.Hours
	t.Queries = make([]target.Query, len(requests))
	for i := range requests {
		r := &requests[i]
		if hours[r.Hour] == nil {
			hours[r.Hour] = t.Index.HoursAt(monday.Add(time.Duration(r.Hour) * time.Hour))
		}
		r.AddTo(&t.Queries[i])
		t.Queries[i].Hours = hours[r.Hour]
		site := target.Value{Dimension: rule.Property, Text: strconv.FormatInt(int64(r.Site), 10)}
		t.Supplies = append(t.Supplies, t.Index.Supply(target.Slot{Values: []target.Value{site}, Shapes: []uint16{uint16(r.Size)}}))
		t.Asked = append(t.Asked, Ask(r, numbers))
	}
}

// AddTo adds to a query what the request itself brings; site and size are the
// placement's.
func (r *Request) AddTo(q *target.Query) {
	q.Add(rule.Country, r.Country[:])
	q.AddText(rule.Region, r.Region)
	q.AddText(rule.DeviceType, r.Device.String())
	q.AddText(rule.OS, r.OS)
	q.AddText(rule.Browser, r.Browser)
	q.AddText(rule.Language, r.Language)
	for _, category := range r.Categories {
		q.AddText(rule.Category, category)
	}
	for _, segment := range r.Segments {
		q.AddText(rule.Segment, segment)
	}
	for _, keyword := range r.Keywords {
		q.Add(rule.Keyword, keyword)
	}
}

// Best asks the index what [Yardstick.Best] answers.
func (t *Trial) Best(scan *target.Scan, request int) int {
	scan.Prepare(t.Index, &t.Queries[request])
	scan.Start(t.Supplies[request], t.Live)
	if row := scan.Next(); row >= 0 {
		return t.Index.Item(row)
	}
	return -1
}

// Value asks the index what [Yardstick.Value] answers.
func (t *Trial) Value(scan *target.Scan, request int) int {
	scan.Prepare(t.Index, &t.Queries[request])
	scan.Start(t.Supplies[request], t.Live)
	best, value := -1, 0.0
	for row := scan.Next(); row >= 0; row = scan.Next() {
		place := t.Index.Item(row)
		if t.Prices[place]*MaxFactor <= value {
			break
		}
		if v := t.Prices[place] * Factor(request, place); v > value {
			best, value = place, v
		}
	}
	return best
}

// All asks the index what [Yardstick.All] answers.
func (t *Trial) All(scan *target.Scan, request int, dst []uint32) []uint32 {
	scan.Prepare(t.Index, &t.Queries[request])
	scan.Start(t.Supplies[request], t.Every)
	return scan.AppendItems(dst)
}
