package settle

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gocloud.dev/blob/memblob"
	"pgregory.net/rapid"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// model plays random histories on a real bank and keeps its own account of what
// they ought to come to. Nothing of settle's code is in it: it knows only who
// reserved what, where it landed and when, and whose stream got through.
type model struct {
	*world
	t         *rapid.T
	random    *rand.Rand // rapid's own numbers are mostly small: nothing would ever meet
	follower  *follower
	lineItems []ad.ID
	processes []*modelProcess
	leases    []*modelLease
	tokens    []*modelToken
	highest   map[ad.ID]money.Micros // the highest lifetime budget that was ever wanted
	anyLost   bool                   // a process was lost: overage is possible
}

type modelProcess struct {
	stream
	alive  bool
	burned bool // its disk is gone
	silent bool // sends no heartbeat any more, though it lives
}

type modelLease struct {
	owner    *modelProcess
	grant    postgres.Grant
	reserved int64
	last     time.Time // the last hold's end
	closed   bool
}

type modelToken struct {
	event.Reservation
	owner    *modelProcess
	clearing money.Micros
	landings []modelLanding
}

type modelLanding struct {
	kind    event.Type
	played  event.Quartile
	at      *modelProcess
	segment uint64 // of at's stream
	inHold  bool
	invalid bool
}

// TestModel checks, for random histories of grants, opens, reservations,
// landings (again, elsewhere, late, invalid), closes, ends, kills, lost disks,
// silence, budget edits and restarts of settle, across a day's end:
//
//   - M1: settled + leased never exceeds a limit (a CHECK, which fails the step)
//     and no more is ever charged than the advertiser wanted at some time
//   - every event that got through counts exactly once, in ledger and report alike
//   - what landed in its hold, where no process was lost, is charged in full
//   - in the end nothing is leased, and limits are what is wanted or spent
func TestModel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// The histories begin shortly before the advertiser's clocks go back at midnight.
	if _, err := w.db.Pool.Exec(t.Context(), "UPDATE advertiser SET time_zone = 'Africa/Cairo'"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t, w)
		defer func() { m.follower.close(context.Background()) }()
		actions := m.actions(rapid.Bool().Draw(t, "gentle"))
		for range rapid.IntRange(60, 240).Draw(t, "steps") {
			actions[m.random.IntN(len(actions))]()
		}
		m.finishAll()
		m.judge()
	})
}

var midnightInCairo = time.Date(2026, 10, 29, 22, 0, 0, 0, time.UTC)

func newModel(t *rapid.T, w *world) *model {
	ctx := context.Background()
	if _, err := w.db.Pool.Exec(ctx, `
		TRUNCATE account, process, lease, lease_bits, segment, ledger, report_hour, report_audience_hour, report_supply_hour, report_status, stop, conversion;
		UPDATE line_item SET status = 'archived'`); err != nil {
		t.Fatal(err)
	}
	begin := midnightInCairo.Add(-time.Duration(rapid.IntRange(1, 200).Draw(t, "seconds before midnight")) * time.Second)
	w.clock.Set(begin)
	if _, err := w.db.Pool.Exec(ctx, `
		UPDATE settlement SET batch = 0, watermark = NULL, ticked_at = $1, up_since = $1, halted = ''`, begin); err != nil {
		t.Fatal(err)
	}
	w.bucket = memblob.OpenBucket(nil)
	w.cfg.Bucket = w.bucket
	m := &model{
		world: w, t: t, highest: map[ad.ID]money.Micros{},
		random: rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
	}
	for range 2 {
		lifetime := m.between(1, 600)
		item := w.lineItem(lifetime, m.between(1, lifetime))
		m.lineItems = append(m.lineItems, item.ID)
		m.highest[item.ID] = *item.LifetimeBudget
	}
	m.follower = must[*follower](t)(start(ctx, w.cfg))
	m.lockFollower()
	m.start()
	m.start()
	return m
}

func (m *model) lockFollower() {
	m.until(5*time.Second, func() bool { return m.follower.settler.Lock(context.Background()) == nil })
}

// actions lists what may happen, each as often as it is likely. In a gentle
// history no process dies or falls silent.
func (m *model) actions(gentle bool) (list []func()) {
	add := func(times int, action func()) {
		for range times {
			list = append(list, action)
		}
	}
	add(6, m.lease)
	add(12, m.reserve)
	add(16, m.land)
	add(4, m.close)
	add(8, m.shipOne)
	add(8, m.tick)
	add(1, m.settleNow)
	add(1, m.start)
	add(1, m.end)
	add(1, m.crash)
	add(1, m.edit)
	if !gentle {
		add(1, m.kill)
		add(1, m.restart)
		add(1, m.hush)
	}
	return list
}

func (m *model) alive() (alive []*modelProcess) {
	for _, p := range m.processes {
		if p.alive {
			alive = append(alive, p)
		}
	}
	return alive
}

func pick[T any](m *model, of []T) (one T, ok bool) {
	if len(of) == 0 {
		return one, false
	}
	return of[m.random.IntN(len(of))], true
}

func (m *model) between(low, high int64) int64 { return low + m.random.Int64N(high-low+1) }

// oneIn is true once in n times.
func (m *model) oneIn(n int) bool { return m.random.IntN(n) == 0 }

func (m *model) start() {
	if len(m.alive()) < 4 {
		m.processes = append(m.processes, &modelProcess{stream: *m.process(), alive: true})
	}
}

func (m *model) lease() {
	p, ok := pick(m, m.alive())
	if !ok {
		return
	}
	item, _ := pick(m, m.lineItems)
	n := m.between(1, 60)
	want := postgres.Want{Lease: newULID(m.clock.Now()), LineItem: item, Micros: price * money.Micros(n), Impressions: n}
	grants, err := m.db.Grant(context.Background(), p.process, []postgres.Want{want}, m.cfg.Bank)
	if m.lost(p, err) || grants[0].Refused != "" {
		return
	}
	if m.oneIn(10) {
		return // until the process ends, nobody knows of this lease but the bank
	}
	m.log(&p.stream, event.Record{Type: event.Open, Lease: leaseOf(grants[0])})
	m.leases = append(m.leases, &modelLease{owner: p, grant: grants[0]})
}

// lost lets a process that the bank gave up end its stream.
func (m *model) lost(p *modelProcess, err error) bool {
	if err == nil {
		return false
	}
	if err != postgres.ErrProcessLost {
		m.t.Fatal(err)
	}
	m.endOf(p)
	return true
}

func (m *model) reserve() {
	var usable []*modelLease
	now := m.clock.Now()
	for _, l := range m.leases {
		if l.owner.alive && !l.closed && l.reserved < l.grant.Impressions && now.Before(l.grant.Deadline) &&
			now.Before(l.grant.DayEnd) && !now.Before(l.grant.DayStart) {
			usable = append(usable, l)
		}
	}
	l, ok := pick(m, usable)
	if !ok {
		return
	}
	for range min(m.between(1, 15), l.grant.Impressions-l.reserved) {
		token := &modelToken{Reservation: m.token(&l.owner.stream, l.grant, uint32(l.reserved)), owner: l.owner, clearing: price}
		token.Country, token.Device = [2]byte{'J', 'A' + byte(m.random.IntN(3))}, event.DeviceType(m.random.IntN(3))
		if m.oneIn(3) { // an exchange's, in another currency
			token.Exchange, token.BidPrice = 9, 3*price
			token.Bills, _ = pick(m, []event.Bills{event.BillsImpression, event.BillsWin, event.BillsBilling})
			token.clearing = money.Micros(m.between(0, int64(token.BidPrice)))
		}
		m.tokens = append(m.tokens, token)
		l.reserved++
		l.last = now.Add(hold)
	}
}

// kinds of landings, each as often as it is likely.
var kinds = []event.Type{
	event.Impression, event.Impression, event.Impression, event.Impression, event.Impression, event.Impression,
	event.Click, event.Click, event.Viewable, event.Viewable,
	event.Win, event.Win, event.Win, event.Billing, event.Billing, event.Progress, event.Conversion,
}

// action is a conversion's: orders are told twice, late, and with no name.
func (m *model) action(r *event.Reservation) *event.Action {
	a := &event.Action{Value: money.Micros(m.between(0, 9999)), PostView: m.oneIn(3), TouchedAt: r.DecidedAt.Truncate(time.Second)}
	if !m.oneIn(3) {
		a.OrderID = fmt.Sprint("order ", m.between(1, 20))
	}
	if m.oneIn(5) {
		a.TouchedAt = a.TouchedAt.Add(-time.Duration(m.between(1, 40)) * 24 * time.Hour)
	}
	return a
}

// land calls some tokens' URLs, of the youngest mostly, at one process.
func (m *model) land() {
	p, ok := pick(m, m.alive())
	if !ok {
		return
	}
	for range m.between(1, 12) {
		among := m.tokens
		if !m.oneIn(4) {
			among = among[max(0, len(among)-30):]
		}
		token, ok := pick(m, among)
		if !ok {
			return
		}
		kind, _ := pick(m, kinds)
		rec := landing(kind, token.Reservation)
		rec.Landing.Clearing = token.clearing
		inHold := !m.clock.Now().After(token.DecidedAt.Add(hold))
		rec.Landing.Late = !inHold
		if m.oneIn(10) {
			rec.Landing.Invalid = event.InvalidBot
		}
		switch kind {
		case event.Progress:
			rec.Landing.Quartile = event.Quartile(m.random.IntN(5))
		case event.Conversion:
			rec.Action = m.action(&token.Reservation)
		}
		m.log(&p.stream, rec)
		token.landings = append(token.landings, modelLanding{kind, rec.Landing.Quartile, p, p.seq + 1, inHold, rec.Landing.Invalid != event.Valid})
	}
}

func (m *model) closeLease(l *modelLease) {
	rec := m.closing(l.grant, l.reserved)
	if l.reserved > 0 {
		rec.Lease.LastExpiry = l.last
	}
	m.log(&l.owner.stream, rec)
	l.closed = true
}

func (m *model) close() {
	var open []*modelLease
	for _, l := range m.leases {
		if l.owner.alive && !l.closed {
			open = append(open, l)
		}
	}
	if l, ok := pick(m, open); ok {
		m.closeLease(l)
	}
}

func (m *model) shipOne() {
	if p, ok := pick(m, m.alive()); ok {
		m.ship(&p.stream)
	}
}

// tick lets some seconds go by; the living report to the bank, and settle works
// or does not.
func (m *model) tick() {
	m.clock.Add(time.Duration(m.between(1, 9_000)) * time.Millisecond)
	for _, p := range m.alive() {
		if p.silent {
			continue
		}
		if m.beat(&p.stream).Lost {
			m.endOf(p)
		}
	}
	m.settleNow()
}

func (m *model) settleNow() {
	ctx := context.Background()
	m.anyLost = m.anyLost || m.follower.stats.Lost > 0
	if m.oneIn(20) {
		m.follower.close(ctx)
		m.follower = must[*follower](m.t)(start(ctx, m.cfg))
		m.lockFollower()
	}
	all := !m.follower.listed || m.oneIn(2)
	if all {
		if err := m.follower.scan(ctx); err != nil {
			m.t.Fatal(err)
		}
	}
	for more := true; more; {
		var err error
		if more, err = m.follower.round(ctx, true); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := m.follower.sweep(ctx, all); err != nil {
		m.t.Fatal(err)
	}
	m.sample()
}

// sample looks for a broken M1, whether or not a CHECK stands before it.
func (m *model) sample() {
	var over int
	if err := m.db.Pool.QueryRow(context.Background(), `
		SELECT count(*) FROM account WHERE settled_micros + leased_micros > limit_micros`).Scan(&over); err != nil {
		m.t.Fatal(err)
	}
	if over > 0 {
		m.t.Fatalf("%d accounts have more settled and leased than their limits", over)
	}
}

// endOf seals and ships a process's stream, as at the end of a drain, or by the
// next process on its disk: with CLOSE for what it knows to be open only if it
// still lives.
func (m *model) endOf(p *modelProcess) {
	m.log(&p.stream, event.Record{Type: event.End})
	m.ship(&p.stream)
	p.alive = false
}

func (m *model) end() {
	p, ok := pick(m, m.alive())
	if !ok {
		return
	}
	for _, l := range m.leases {
		if l.owner == p && !l.closed {
			m.closeLease(l)
		}
	}
	m.endOf(p)
}

// kill stops a process at once, now and then with its disk.
func (m *model) kill() {
	if p, ok := pick(m, m.alive()); ok && m.oneIn(2) {
		p.alive = false
		p.burned = m.oneIn(3)
		if p.burned {
			p.pending = nil
		} else {
			p.pending = slices.Clip(p.pending)
		}
	}
}

// crash is a kill whose successor finds the disk at once.
func (m *model) crash() {
	if p, ok := pick(m, m.alive()); ok {
		m.endOf(p)
		m.start()
	}
}

// restart brings a killed process's disk back.
func (m *model) restart() {
	for _, p := range m.processes {
		if !p.alive && !p.burned && !m.ended(p) {
			m.endOf(p)
			return
		}
	}
}

func (m *model) ended(p *modelProcess) bool {
	last, err := m.bucket.ReadAll(context.Background(), event.SegmentName(p.process, p.seq))
	if err != nil {
		return false
	}
	s, err := newDigester().digest(last, p.process, p.seq)
	return err == nil && s.ending
}

func (m *model) hush() {
	if p, ok := pick(m, m.alive()); ok && m.oneIn(3) {
		p.silent = true
	}
}

func (m *model) edit() {
	id, _ := pick(m, m.lineItems)
	ctx := context.Background()
	item := must[ad.LineItem](m.t)(m.db.FindLineItem(ctx, postgres.System, id))
	n := m.between(1, 600)
	life, day := price*money.Micros(n), price*money.Micros(m.between(1, n))
	item.LifetimeBudget, item.DailyBudget = &life, &day
	must[ad.LineItem](m.t)(m.db.UpdateLineItem(ctx, postgres.System, item))
	m.highest[id] = max(m.highest[id], life)
}

// finishAll ends what is left, and waits for what has to come back by time.
func (m *model) finishAll() {
	for _, p := range m.processes {
		if p.alive {
			m.endOf(p)
		}
	}
	m.settleNow()
	for range 25 {
		m.clock.Add(9 * time.Second)
		if err := m.follower.sweep(context.Background(), true); err != nil {
			m.t.Fatal(err)
		}
	}
}

func (m *model) judge() {
	books := must[totals](m.t)(readTotals(context.Background(), m.db))
	books.check(m.t)
	m.judgeLog(m.t)
	var want struct{ impressions, clicks, views, invalid int64 }
	var owed, face money.Micros
	for _, token := range m.tokens {
		seen := map[string]bool{}
		for _, l := range token.landings {
			if l.segment > l.at.seq {
				continue // it burned
			}
			seen[fmt.Sprint(l.kind, l.invalid)] = true
			if l.kind == event.Progress && l.invalid && !seen[fmt.Sprint("played", l.played)] {
				seen[fmt.Sprint("played", l.played)] = true
				want.invalid++
			}
			if l.kind == token.Bills.Type() && !l.invalid {
				seen["billed"] = true
				seen["owed"] = seen["owed"] || l.inHold
			}
		}
		count := func(n *int64, key string) {
			if seen[key] {
				*n++
			}
		}
		count(&want.impressions, fmt.Sprint(event.Impression, false))
		once := event.Landing{Reservation: token.Reservation, Clearing: token.clearing}
		if seen["owed"] {
			owed += once.Charge()
		}
		if seen["billed"] {
			face += once.Charge()
		}
		count(&want.clicks, fmt.Sprint(event.Click, false))
		count(&want.views, fmt.Sprint(event.Viewable, false))
		for _, kind := range []event.Type{event.Impression, event.Click, event.Viewable, event.Win, event.Billing, event.Conversion} {
			count(&want.invalid, fmt.Sprint(kind, true))
		}
	}
	f := func(what string, got, want int64) {
		m.t.Helper()
		if got != want {
			m.t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	f("impressions", books.Impressions, want.impressions)
	f("clicks", books.Clicks, want.clicks)
	f("viewables", books.Views, want.views)
	f("invalid", books.Invalid, want.invalid)
	if books.Charged+books.Overage > face {
		m.t.Errorf("charged %s and overage %s of events worth %s", books.Charged, books.Overage, face)
	}
	if !m.anyLost && m.follower.stats.Lost == 0 && books.Charged < owed {
		m.t.Errorf("charged %s, %s landed within their holds", books.Charged, owed)
	}
	f("leased at the end", int64(books.Leased), 0)
	f("impressions leased at the end", books.LeasedN, 0)
	f("leases that are not final", books.Open, 0)
	m.judgeLimits()
}

func (m *model) judgeLimits() {
	for _, id := range m.lineItems {
		e := must[postgres.Exposure](m.t)(m.db.Exposure(context.Background(), postgres.System, id))
		for _, a := range []postgres.Account{e.Lifetime, e.Today} {
			if *a.Limit != max(*a.Wanted, a.Settled) {
				m.t.Errorf("line item %d: limit %s, wanted %s, settled %s", id, *a.Limit, *a.Wanted, a.Settled)
			}
		}
		if e.Lifetime.Settled > m.highest[id] {
			m.t.Errorf("line item %d: charged %s, never was more wanted than %s", id, e.Lifetime.Settled, m.highest[id])
		}
	}
}
