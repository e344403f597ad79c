package postgres

import (
	"math"
	"time"

	"github.com/hayate-ads/hayate/internal/money"
)

// Bounds of one lease. Delivery packs a lease into one machine word; the bank
// grants nothing that would not fit (package delivery/lease).
const (
	MaxLeaseImpressions              = 65_536
	MaxLeaseMicros      money.Micros = 1<<46 - 1
)

// Amount is a share of a budget: money, and how many impressions.
type Amount struct {
	Micros      money.Micros
	Impressions int64
}

// unlimited stands for "no limit"; no account ever comes near it.
var unlimited = Amount{Micros: math.MaxInt64, Impressions: math.MaxInt64}

func (a Amount) least(b Amount) Amount {
	return Amount{Micros: min(a.Micros, b.Micros), Impressions: min(a.Impressions, b.Impressions)}
}

// Sub returns a less b.
func (a Amount) Sub(b Amount) Amount {
	return Amount{Micros: a.Micros - b.Micros, Impressions: a.Impressions - b.Impressions}
}

// Add returns a and b together.
func (a Amount) Add(b Amount) Amount {
	return Amount{Micros: a.Micros + b.Micros, Impressions: a.Impressions + b.Impressions}
}

// allotment is what decides the size of one lease: everything is counted in
// impressions at the line item's price.
type allotment struct {
	price   money.Micros // of one impression
	left    Amount       // the least that any of its budgets has left
	live    int64        // processes that run
	holders int64        // processes that hold open leases of the line item
	holds   bool         // this process is one of them
}

const (
	smallestLease = 5   // impressions; below it a lease costs more than it brings
	fewLeft       = 200 // impressions; with fewer left, a lease may be a single one
)

// allot sizes one lease (design §5.1). Half of what is left goes out at a time,
// shared by those who may hold it, so that the last of a budget is never locked
// up in many small leases at processes that cannot use them.
func (a allotment) allot(want Want) (Amount, Refusal) {
	left := a.left.Impressions
	asked, most := want.Impressions, int64(MaxLeaseImpressions)
	if a.price > 0 {
		left = min(left, int64(a.left.Micros/a.price))
		most = min(most, int64(MaxLeaseMicros/a.price))
		if want.Micros > 0 {
			asked = min(asked, int64((want.Micros+a.price-1)/a.price))
		}
	}
	least := max(1, want.Least)
	if left < least || most < least {
		return Amount{}, RefusedSpent
	}
	smallest := max(least, smallestLease)
	if left < fewLeft {
		smallest = least
	}
	mayHold := max(1, min(left/(2*smallest), max(1, a.live)))
	if !a.holds && a.holders >= mayHold {
		return Amount{}, RefusedHolders
	}
	n := min(max(asked, smallest), max(smallest, left/(2*mayHold)))
	n = min(n, left, most)
	return Amount{Micros: a.price * money.Micros(n), Impressions: n}, ""
}

const (
	youngest    = 60 * time.Second // the age of a lease where few reservations render
	fewRendered = 10               // per cent, and below
	allRendered = 90               // per cent, and above
	sampleSize  = 100              // reservations that a rate needs behind it
)

// leaseAge is how long after its first reservation a lease closes. Where few
// reservations render, most of a lease is money that nobody will charge: it has
// to come back soon. The rate is measured today, else over the line item's life;
// without history half of the longest age is a fair start.
func leaseAge(longest time.Duration, lifetime, today *grantAccount) time.Duration {
	if longest <= youngest {
		return longest
	}
	measured := today
	if measured.finalReserved < sampleSize {
		measured = lifetime
	}
	if measured.finalReserved < sampleSize {
		return max(youngest, longest/2)
	}
	rendered := measured.finalSettled * 100 / measured.finalReserved
	rendered = max(fewRendered, min(rendered, allRendered))
	share := time.Duration(rendered - fewRendered)
	return youngest + (longest-youngest)*share/(allRendered-fewRendered)
}
