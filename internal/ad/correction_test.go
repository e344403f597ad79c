package ad

import (
	"strings"
	"testing"
	"time"
)

func TestCorrection(t *testing.T) {
	t.Parallel()
	own, exchange, broken := ID(0), ID(3), ID(-1)
	from := time.Date(2026, 4, 1, 15, 0, 0, 0, time.UTC)
	f := func(change func(*Correction), want ...string) {
		t.Helper()
		k := Correction{AdvertiserID: 1, From: from, To: from.Add(time.Hour), Why: "A data centre clicked."}
		change(&k)
		checkFields(t, k, want...)
	}
	f(func(*Correction) {})
	f(func(k *Correction) { k.LineItemID, k.CreativeID, k.PlacementID, k.ExchangeID = 1, 2, 3, &own })
	f(func(k *Correction) { k.ExchangeID = &exchange })
	f(func(k *Correction) { k.To = from.Add(92 * 24 * time.Hour) })
	f(func(k *Correction) { k.Why = strings.Repeat("無", 500) })
	f(func(k *Correction) { *k = Correction{} }, "advertiser_id required", "from required", "to required", "why required")
	f(func(k *Correction) { k.LineItemID, k.CreativeID, k.PlacementID, k.ExchangeID = -1, -1, -1, &broken },
		"line_item_id bad_syntax", "creative_id bad_syntax", "placement_id bad_syntax", "exchange_id bad_syntax")
	f(func(k *Correction) { k.To = from }, "to order")
	f(func(k *Correction) { k.To = from.Add(92*24*time.Hour + time.Hour) }, "to out_of_range")
	f(func(k *Correction) { k.From = from.Add(-30 * time.Minute) }, "from bad_syntax")
	f(func(k *Correction) { k.To = from.Add(time.Hour + time.Microsecond) }, "to bad_syntax")
	f(func(k *Correction) { k.To = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "to out_of_range")
	f(func(k *Correction) { k.Why = "   " }, "why required")
	f(func(k *Correction) { k.Why = strings.Repeat("x", 501) }, "why too_long")
	f(func(k *Correction) { k.Why = "two\nlines" }, "why bad_syntax")
	f(func(k *Correction) { k.Why = "safe\u202egnp.exe" }, "why bad_syntax")
	f(func(k *Correction) { k.Why = "\xff" }, "why bad_syntax")
}
