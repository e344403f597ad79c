package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/event"
	"github.com/hayate-ads/hayate/internal/money"
)

// grantDay is a day of an advertiser's time zone.
type grantDay struct {
	day        event.Day
	start, end time.Time
}

// grantLineItem is what decides whether a line item may lease at all.
type grantLineItem struct {
	id              ad.ID
	cpm             money.Micros
	open            bool // active and in date, with all that is above it, and not stopped
	eve             bool // the day is nearly over, and the line item runs on tomorrow
	today, tomorrow grantDay
	holders         map[ulid.ULID]bool // processes with open leases of it
	held            map[holding]bool
}

// holding says that a process has an open lease for a day.
type holding struct {
	process ulid.ULID
	day     event.Day
}

func (l *grantLineItem) hold(process ulid.ULID, day event.Day) {
	l.holders[process] = true
	l.held[holding{process, day}] = true
}

// dayFor is the day that a process leases for. On the eve of a day it gets one
// lease for it early, so that nothing is silent after midnight; what it wants
// beyond that is for the day that still lasts.
func (l *grantLineItem) dayFor(process ulid.ULID) grantDay {
	if l.eve && l.held[holding{process, l.today.day}] && !l.held[holding{process, l.tomorrow.day}] {
		return l.tomorrow
	}
	return l.today
}

// grantAccount is one locked account; no limit reads as a very large one.
type grantAccount struct {
	id                          int64
	limit, used                 Amount // used: settled and leased
	taken                       Amount // by this batch
	finalReserved, finalSettled int64
}

// left is never negative: a limit that was lowered may lie below what is out.
func (a *grantAccount) left() Amount {
	left := a.limit.Sub(a.used)
	return Amount{Micros: max(0, left.Micros), Impressions: max(0, left.Impressions)}
}

func (a *grantAccount) take(amount Amount) {
	a.used = a.used.Add(amount)
	a.taken = a.taken.Add(amount)
}

// dayOf and dateOf convert between days and Postgres dates.
func dayOf(date time.Time) event.Day { return event.Day(date.Unix() / (24 * 60 * 60)) }

func dateOf(day event.Day) time.Time { return time.Unix(int64(day)*24*60*60, 0).UTC() }

func (g *granting) readLineItems(ctx context.Context, tx pgx.Tx) error {
	if err := tx.QueryRow(ctx, "SELECT bank_now()").Scan(&g.now); err != nil {
		return err
	}
	g.now = g.now.UTC()
	ids := make([]ad.ID, 0, len(g.wants))
	for _, want := range g.wants {
		ids = append(ids, want.LineItem)
	}
	items, err := many(ctx, tx, scanGrantLineItem, `
		SELECT l.id, l.cpm,
			l.status = 'active' AND c.status = 'active' AND a.status = 'active'
				AND $2 >= GREATEST(l.starts_at, c.starts_at)
				AND $2 < LEAST(COALESCE(l.ends_at, 'infinity'), COALESCE(c.ends_at, 'infinity'))
				AND NOT EXISTS (
					SELECT FROM stop s
					WHERE s.stopped AND (s.kind, s.item_id)
						IN (('line_item', l.id), ('campaign', c.id), ('advertiser', a.id))),
			$2 >= d.tomorrow - make_interval(secs => $3)
				AND LEAST(COALESCE(l.ends_at, 'infinity'), COALESCE(c.ends_at, 'infinity')) > d.tomorrow,
			t.today, day_start(t.today, a.time_zone), d.tomorrow, day_start(t.today + 2, a.time_zone)
		FROM line_item l
		JOIN campaign c ON c.id = l.campaign_id
		JOIN advertiser a ON a.id = c.advertiser_id
		CROSS JOIN LATERAL (SELECT ($2::timestamptz AT TIME ZONE a.time_zone)::date AS today) t
		CROSS JOIN LATERAL (SELECT day_start(t.today + 1, a.time_zone) AS tomorrow) d
		WHERE l.id = ANY($1)`, ids, g.now, dayEve.Seconds())
	g.lineItems = make(map[ad.ID]*grantLineItem, len(items))
	for _, item := range items {
		g.lineItems[item.id] = item
	}
	return err
}

func scanGrantLineItem(row pgx.CollectableRow) (*grantLineItem, error) {
	item := &grantLineItem{holders: map[ulid.ULID]bool{}, held: map[holding]bool{}}
	var today, start, end, endOfTomorrow time.Time
	err := row.Scan(&item.id, &item.cpm, &item.open, &item.eve, &today, &start, &end, &endOfTomorrow)
	item.today = grantDay{day: dayOf(today), start: start.UTC(), end: end.UTC()}
	item.tomorrow = grantDay{day: item.today.day + 1, start: end.UTC(), end: endOfTomorrow.UTC()}
	return item, err
}

// wantedAccounts lists the accounts that the batch may draw on. Those of line
// items that are not open are locked too, lest a repeat be refused while its
// first try is still about to be granted.
func (g *granting) wantedAccounts(openOnly bool) (ids []ad.ID, days []*time.Time) {
	add := func(id ad.ID, day *time.Time) { ids, days = append(ids, id), append(days, day) }
	for _, item := range g.lineItems {
		if openOnly && !item.open {
			continue
		}
		today, tomorrow := dateOf(item.today.day), dateOf(item.tomorrow.day)
		add(item.id, nil)
		add(item.id, &today)
		if item.eve {
			add(item.id, &tomorrow)
		}
	}
	return ids, days
}

// addAccounts makes the accounts that are missing. The line item is locked
// against an edit of its budget meanwhile, which would not see the new account.
func (g *granting) addAccounts(ctx context.Context, tx pgx.Tx) error {
	ids, days := g.wantedAccounts(true)
	_, err := tx.Exec(ctx, `
		INSERT INTO account (level, owner_id, day, wanted_micros, limit_micros)
		SELECT 'line_item', l.id, n.day,
			CASE WHEN n.day IS NULL THEN l.lifetime_budget ELSE l.daily_budget END,
			CASE WHEN n.day IS NULL THEN l.lifetime_budget ELSE l.daily_budget END
		FROM unnest($1::bigint[], $2::date[]) AS n (line_item_id, day)
		JOIN line_item l ON l.id = n.line_item_id
		WHERE NOT EXISTS (
			SELECT FROM account x
			WHERE x.level = 'line_item' AND x.owner_id = n.line_item_id
				AND (x.day = n.day OR (x.day IS NULL AND n.day IS NULL)))
		ORDER BY l.id, n.day
		FOR SHARE OF l
		ON CONFLICT DO NOTHING`, ids, days)
	return err
}

func (g *granting) lockAccounts(ctx context.Context, tx pgx.Tx) error {
	ids, days := g.wantedAccounts(false)
	rows, err := tx.Query(ctx, `
		SELECT id, owner_id, day, LEAST(wanted_micros, limit_micros), settled_micros + leased_micros,
			LEAST(wanted_impressions, limit_impressions), settled_impressions + leased_impressions,
			final_reserved, final_settled
		FROM account
		WHERE level = 'line_item' AND owner_id = ANY($1) AND (day IS NULL OR day = ANY($2))
		ORDER BY id
		FOR UPDATE`, ids, days)
	if err != nil {
		return err
	}
	g.accounts = make(map[accountKey]*grantAccount)
	var key accountKey
	var account grantAccount
	var day *time.Time
	var micros *money.Micros
	var impressions *int64
	_, err = pgx.ForEachRow(rows, []any{
		&account.id, &key.lineItem, &day, &micros, &account.used.Micros,
		&impressions, &account.used.Impressions, &account.finalReserved, &account.finalSettled,
	}, func() error {
		key.lifetime, key.day = day == nil, 0
		if day != nil {
			key.day = dayOf(*day)
		}
		account.limit = unlimited
		if micros != nil {
			account.limit.Micros = *micros
		}
		if impressions != nil {
			account.limit.Impressions = *impressions
		}
		locked := account
		g.accounts[key] = &locked
		return nil
	})
	return err
}

// readLeases reads what was granted under the wanted ids before, who holds open
// leases, and how many processes run.
func (g *granting) readLeases(ctx context.Context, tx pgx.Tx) error {
	leases, lineItems := make([]ulid.ULID, 0, len(g.wants)), make([]ad.ID, 0, len(g.wants))
	for _, want := range g.wants {
		leases, lineItems = append(leases, want.Lease), append(lineItems, want.LineItem)
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		SELECT e.id, e.process_id, e.line_item_id, e.granted_micros, e.granted_impressions, e.day,
			COALESCE(day_start(e.day, a.time_zone), e.day::timestamp AT TIME ZONE 'UTC'),
			COALESCE(day_start(e.day + 1, a.time_zone), (e.day + 1)::timestamp AT TIME ZONE 'UTC'),
			e.deadline, (EXTRACT(epoch FROM e.max_age) * 1000000)::bigint
		FROM lease e
		LEFT JOIN line_item l ON l.id = e.line_item_id
		LEFT JOIN campaign c ON c.id = l.campaign_id
		LEFT JOIN advertiser a ON a.id = c.advertiser_id
		WHERE e.id = ANY($1)`, leases).Query(g.readGranted)
	batch.Queue(`
		SELECT DISTINCT e.line_item_id, e.process_id, e.day
		FROM lease e JOIN process p ON p.id = e.process_id
		WHERE e.state = 'open' AND e.line_item_id = ANY($1) AND e.deadline > $2 AND p.state = 'running'`,
		lineItems, g.now).Query(g.readHolders)
	batch.Queue(`
		SELECT count(*) FROM process
		WHERE state = 'running' AND heartbeat_at > $1::timestamptz - make_interval(secs => $2)`,
		g.now, g.cfg.LostAfter.Seconds()).QueryRow(func(row pgx.Row) error { return row.Scan(&g.live) })
	return tx.SendBatch(ctx, batch).Close()
}

func (g *granting) readGranted(rows pgx.Rows) error {
	g.before = make(map[ulid.ULID]Grant)
	var grant Grant
	var process ulid.ULID
	var date time.Time
	var age int64
	_, err := pgx.ForEachRow(rows, []any{
		(*[16]byte)(&grant.Lease), (*[16]byte)(&process), &grant.LineItem, &grant.Micros, &grant.Impressions,
		&date, &grant.DayStart, &grant.DayEnd, &grant.Deadline, &age,
	}, func() error {
		if process != g.process {
			return errors.New("lease " + grant.Lease.String() + " belongs to another process")
		}
		found := grant
		found.Day, found.MaxAge = dayOf(date), time.Duration(age)*time.Microsecond
		found.DayStart, found.DayEnd, found.Deadline = grant.DayStart.UTC(), grant.DayEnd.UTC(), grant.Deadline.UTC()
		g.before[found.Lease] = found
		return nil
	})
	return err
}

func (g *granting) readHolders(rows pgx.Rows) error {
	var lineItem ad.ID
	var process ulid.ULID
	var date time.Time
	_, err := pgx.ForEachRow(rows, []any{&lineItem, (*[16]byte)(&process), &date}, func() error {
		if item := g.lineItems[lineItem]; item != nil {
			item.hold(process, dayOf(date))
		}
		return nil
	})
	return err
}

// write books what was granted: one update for each account, one insert for all leases.
func (g *granting) write(ctx context.Context, tx pgx.Tx) error {
	if len(g.fresh) == 0 {
		return nil
	}
	batch := &pgx.Batch{}
	g.queueAccounts(batch)
	g.queueLeases(batch)
	return tx.SendBatch(ctx, batch).Close()
}

func (g *granting) queueAccounts(batch *pgx.Batch) {
	var ids, impressions []int64
	var micros []money.Micros
	for _, account := range g.accounts {
		if account.taken != (Amount{}) {
			ids = append(ids, account.id)
			micros = append(micros, account.taken.Micros)
			impressions = append(impressions, account.taken.Impressions)
		}
	}
	batch.Queue(`
		UPDATE account x SET leased_micros = x.leased_micros + n.micros, leased_impressions = x.leased_impressions + n.impressions
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS n (id, micros, impressions)
		WHERE x.id = n.id`, ids, micros, impressions)
}

func (g *granting) queueLeases(batch *pgx.Batch) {
	n := len(g.fresh)
	leases, lineItems, days := make([]ulid.ULID, n), make([]ad.ID, n), make([]time.Time, n)
	micros, impressions, ages := make([]money.Micros, n), make([]int64, n), make([]int64, n)
	deadlines := make([]time.Time, n)
	for i, grant := range g.fresh {
		leases[i], lineItems[i], days[i] = grant.Lease, grant.LineItem, dateOf(grant.Day)
		micros[i], impressions[i] = grant.Micros, grant.Impressions
		deadlines[i], ages[i] = grant.Deadline, grant.MaxAge.Microseconds()
	}
	batch.Queue(`
		INSERT INTO lease (id, process_id, line_item_id, day, granted_micros, granted_impressions, granted_at, deadline, max_age)
		SELECT n.id, $1, n.line_item_id, n.day, n.micros, n.impressions, $2, n.deadline, n.age * interval '1 microsecond'
		FROM unnest($3::uuid[], $4::bigint[], $5::date[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::bigint[])
			AS n (id, line_item_id, day, micros, impressions, deadline, age)`,
		g.process, g.now, leases, lineItems, days, micros, impressions, deadlines, ages)
}
