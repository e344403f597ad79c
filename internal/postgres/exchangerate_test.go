package postgres_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hayate-ads/hayate/internal/ad"
	"github.com/hayate-ads/hayate/internal/money"
	"github.com/hayate-ads/hayate/internal/postgres"
)

func TestExchangeRates(t *testing.T) {
	t.Parallel()
	h := newHouse(t) // whose placement has a floor in EUR
	ctx, operator := t.Context(), h.actor(ad.RoleOperator)
	set := func(currency string, value money.Micros, version int64) (ad.ExchangeRate, error) {
		return h.SetExchangeRate(ctx, operator, ad.ExchangeRate{Currency: currency, Value: value, Stamp: ad.Stamp{Version: version}})
	}
	jpy := must[ad.ExchangeRate](t)(set("JPY", 6_700, 0))
	eur := must[ad.ExchangeRate](t)(set("EUR", 1_083_200, 0))
	if jpy.Version != 1 || jpy.CreatedAt.IsZero() {
		t.Errorf("created %+v", jpy)
	}
	if diff := cmp.Diff([]ad.ExchangeRate{eur, jpy}, must[[]ad.ExchangeRate](t)(h.ExchangeRates(ctx, operator))); diff != "" {
		t.Errorf("list (-want +got):\n%s", diff)
	}
	_, err := set("JPY", 6_800, 0)
	wantField(t, err, "currency", ad.Taken)
	_, err = set("JPY", 0, 1)
	wantField(t, err, "value", ad.OutOfRange)
	if _, err := set("CHF", 1, 1); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("change of an unknown one: %v", err)
	}
	jpy = must[ad.ExchangeRate](t)(set("JPY", 6_800, 1))
	if jpy.Version != 2 || jpy.Value != 6_800 {
		t.Errorf("changed %+v", jpy)
	}
	if _, err := set("JPY", 6_900, 1); !errors.Is(err, postgres.ErrVersion) {
		t.Errorf("from an old version: %v", err)
	}

	if err := h.DeleteExchangeRate(ctx, operator, "JPY", 1); !errors.Is(err, postgres.ErrVersion) {
		t.Errorf("delete an old version: %v", err)
	}
	if err := h.DeleteExchangeRate(ctx, operator, "JPY", 2); err != nil {
		t.Error(err)
	}
	if err := h.DeleteExchangeRate(ctx, operator, "JPY", 2); !errors.Is(err, postgres.ErrNotFound) {
		t.Errorf("delete twice: %v", err)
	}
	wantField(t, h.DeleteExchangeRate(ctx, operator, "EUR", 1), "currency", ad.Conflict)
	var actions []string
	for _, e := range must[[]postgres.Entry](t)(h.AuditLog(ctx, operator, postgres.AuditFilter{Kind: "exchange_rate", ItemID: jpy.ID})) {
		actions = append(actions, e.Action)
		if e.UserID != operator.UserID {
			t.Errorf("%+v", e)
		}
	}
	if diff := cmp.Diff([]string{"create", "update", "delete"}, actions); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}

// Two operators who add the same currency at once make one rate.
func TestExchangeRateRace(t *testing.T) {
	t.Parallel()
	db, results := newDB(t), make(chan error)
	for range 8 {
		go func() {
			_, err := db.SetExchangeRate(t.Context(), postgres.System, ad.ExchangeRate{Currency: "JPY", Value: 6_700})
			results <- err
		}()
	}
	won := 0
	for range 8 {
		if err := <-results; err == nil {
			won++
		} else {
			wantField(t, err, "currency", ad.Taken)
		}
	}
	if won != 1 {
		t.Errorf("%d of 8 won", won)
	}
}
