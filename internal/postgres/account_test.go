package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/oklog/ulid/v2"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

// A budget may be lowered below what is out; the limit in force then is what is
// out, and never below it (M1).
func TestBudgets(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, operator := t.Context(), h.actor(ad.RoleOperator)
	today := must[postgres.Exposure](t)(h.Exposure(ctx, operator, h.lineItem.ID)).Day
	// Yesterday is over; tomorrow may be leased a minute early.
	for offset := -1; offset <= 1; offset++ {
		_, err := h.Pool.Exec(ctx, `
			INSERT INTO account (level, owner_id, day, wanted_micros, limit_micros)
			VALUES ('line_item', $1, $2, 10000000, 10000000)`, h.lineItem.ID, today.AddDate(0, 0, offset))
		if err != nil {
			t.Fatal(err)
		}
	}
	use := func(settled, leased money.Micros) {
		t.Helper()
		_, err := h.Pool.Exec(ctx, "UPDATE account SET settled_micros = $2, leased_micros = $3 WHERE owner_id = $1",
			h.lineItem.ID, settled, leased)
		if err != nil {
			t.Fatal(err)
		}
	}
	f := func(lifetime, daily *money.Micros, want ...string) {
		t.Helper()
		h.lineItem.LifetimeBudget, h.lineItem.DailyBudget = lifetime, daily
		h.lineItem = must[ad.LineItem](t)(h.UpdateLineItem(ctx, operator, h.lineItem))
		if diff := cmp.Diff(want, accounts(t, h)); diff != "" {
			t.Errorf("accounts: lifetime, yesterday, today, tomorrow (-want +got):\n%s", diff)
		}
	}
	const yesterday = "10.00/10.00"
	f(micros(50*money.Unit), micros(5*money.Unit), "50.00/50.00", yesterday, "5.00/5.00", "5.00/5.00")
	use(2*money.Unit, money.Unit)
	f(micros(10*money.Unit), micros(2*money.Unit), "10.00/10.00", yesterday, "2.00/3.00", "2.00/3.00")
	f(micros(2*money.Unit), micros(1), "2.00/3.00", yesterday, "0.000001/3.00", "0.000001/3.00")
	f(nil, nil, "-/-", yesterday, "-/-", "-/-")
	use(7*money.Unit, 2*money.Unit)
	f(micros(8*money.Unit), nil, "8.00/9.00", yesterday, "-/-", "-/-")
	f(micros(money.Max), micros(money.Max), "1000000000000.00/1000000000000.00", yesterday,
		"1000000000000.00/1000000000000.00", "1000000000000.00/1000000000000.00")

	got := must[postgres.Exposure](t)(h.Exposure(ctx, h.actor(ad.RoleAdvertiser), h.lineItem.ID))
	want := postgres.Account{Wanted: micros(money.Max), Limit: micros(money.Max), Settled: 7 * money.Unit, Leased: 2 * money.Unit}
	if diff := cmp.Diff(postgres.Exposure{Lifetime: want, Day: today, Today: want}, got); diff != "" {
		t.Errorf("exposure (-want +got):\n%s", diff)
	}
}

// accounts are those of the house's line item as "wanted/limit", the lifetime's first.
func accounts(t *testing.T, h *house) (list []string) {
	t.Helper()
	rows, err := h.Pool.Query(t.Context(), `
		SELECT wanted_micros, limit_micros FROM account WHERE level = 'line_item' AND owner_id = $1
		ORDER BY day NULLS FIRST`, h.lineItem.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var wanted, limit *money.Micros
		if err := rows.Scan(&wanted, &limit); err != nil {
			t.Fatal(err)
		}
		list = append(list, amount(wanted)+"/"+amount(limit))
	}
	return list
}

func amount(m *money.Micros) string {
	if m == nil {
		return "-"
	}
	return m.String()
}

func TestExposureOfANewLineItem(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	got := must[postgres.Exposure](t)(h.Exposure(t.Context(), h.actor(ad.RoleReviewer), h.lineItem.ID))
	want := postgres.Exposure{
		Lifetime: postgres.Account{Wanted: h.lineItem.LifetimeBudget, Limit: h.lineItem.LifetimeBudget},
		Day:      got.Day,
		Today:    postgres.Account{Wanted: h.lineItem.DailyBudget, Limit: h.lineItem.DailyBudget},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("exposure (-want +got):\n%s", diff)
	}
	if fmt.Sprint(accounts(t, h)) != "[100.00/100.00]" {
		t.Errorf("accounts are %v; the first grant makes the days", accounts(t, h))
	}
}

// Budgets are edited while processes lease: nobody waits for the other in a
// circle, what a day's account wants is what was typed last, whoever made the
// account, and no limit is passed at any moment (a CHECK would refuse).
func TestBudgetsChangeWhileGranting(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx, edited := t.Context(), h.lineItem
	h.approve(t, h.creative)
	var work sync.WaitGroup
	for range 3 {
		process := ulid.Make()
		work.Go(func() {
			for range 30 {
				if _, err := h.Grant(ctx, process, []postgres.Want{wantOf(h.lineItem.ID, 20)}, bankConfig); err != nil {
					t.Errorf("grant: %v", err)
					return
				}
			}
		})
	}
	work.Go(func() {
		for i := range 40 {
			edited.DailyBudget = micros(money.Unit * money.Micros(1+i%5))
			updated, err := h.UpdateLineItem(ctx, postgres.System, edited)
			if err != nil {
				t.Errorf("edit: %v", err)
				return
			}
			edited = updated
		}
	})
	work.Wait()
	got := must[postgres.Exposure](t)(h.Exposure(ctx, postgres.System, h.lineItem.ID))
	if got.Today.Leased == 0 || *got.Today.Wanted != 5*money.Unit || *got.Today.Limit < got.Today.Settled+got.Today.Leased ||
		got.Today.Leased != got.Lifetime.Leased {
		t.Errorf("exposure: lifetime %s leased; today %s wanted, %s limit, %s leased",
			got.Lifetime.Leased, got.Today.Wanted, got.Today.Limit, got.Today.Leased)
	}
}
