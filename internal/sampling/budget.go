package sampling

import (
	"math"
	"time"
)

// Budget is how many copies may be made: a share of the requests, a number a second, or both
// at once. What is not spent is saved, up to a number of copies.
type Budget struct {
	share, perSecond float64 // 0 is no such budget
	most             float64 // that are saved

	at              time.Time // of the latest account
	saved           float64   // copies of the share that are left; below 0 is a debt
	savedBySecond   float64   // and of the number a second
	second          time.Time // the beginning of the second in which requests are counted
	inSecond        float64   // requests since then
	inSecondsBefore float64   // requests a second, before that
}

// NewBudget returns a Budget with all saved that can be.
func NewBudget(share, perSecond float64, most int, now time.Time) *Budget {
	return &Budget{
		share: share, perSecond: perSecond, most: float64(most),
		saved: float64(most), savedBySecond: float64(most), at: now, second: now,
	}
}

// Account adds what requests and time have earned since the latest account, and takes off the
// copies that were spent. A clock that goes back stands, and goes on from there.
func (b *Budget) Account(now time.Time, requests, spent float64) {
	passed := max(now.Sub(b.at), 0)
	b.at = now
	b.saved = min(b.saved+b.share*requests-spent, b.most)
	b.savedBySecond = min(b.savedBySecond+b.perSecond*passed.Seconds()-spent, b.most)
	b.inSecond += requests
	if counted := now.Sub(b.second); counted >= time.Second || counted < 0 {
		b.inSecondsBefore = b.inSecond / max(counted.Seconds(), 1)
		b.second, b.inSecond = now, 0
	}
}

// Left returns how many copies are left: less than 0 where too many were made.
func (b *Budget) Left() float64 {
	left := math.Inf(1)
	if b.share > 0 {
		left = b.saved
	}
	if b.perSecond > 0 {
		left = min(left, b.savedBySecond)
	}
	return left
}

// Rate returns the rate of all requests alike that spends what comes in.
func (b *Budget) Rate() float64 {
	rate := 1.0
	if b.share > 0 {
		rate = b.share
	}
	// Requests come at least as fast as those of this second have come already.
	if requests := max(b.inSecondsBefore, b.inSecond); b.perSecond > 0 && requests > 0 {
		rate = min(rate, b.perSecond/requests)
	}
	return rate
}

// Urge returns by how much more or less than Rate to spend, from 0 with nothing left over 1
// with half of what can be saved to 2 with all of it.
func (b *Budget) Urge() float64 { return min(max(2*b.Left()/b.most, 0), 2) }
