package sampling

import (
	"fmt"
	"math/rand/v2"
)

// Chance is a probability in units of 2⁻⁶³, exact at 0 and at 1.
type Chance uint64

// Certain is the Chance 1.
const Certain Chance = 1 << 63

// NewChance returns the Chance of p. Below 0 and NaN it is 0, above 1 it is Certain.
func NewChance(p float64) Chance {
	switch {
	case p >= 1:
		return Certain
	case p > 0:
		return Chance(p * float64(Certain))
	}
	return 0
}

// Has reports whether a number drawn from all 64-bit numbers falls into c.
func (c Chance) Has(number uint64) bool { return Chance(number>>1) < c }

// Draw draws a number and reports whether it falls into c.
func (c Chance) Draw() bool { return c != 0 && c.Has(rand.Uint64()) }

// Probability returns c as a number from 0 to 1.
func (c Chance) Probability() float64 { return float64(c) / float64(Certain) }

// CheckProbability returns an error that begins with name if p is not a number from 0 to 1.
func CheckProbability(name string, p float64) error {
	if p >= 0 && p <= 1 {
		return nil
	}
	if p > 1 && p <= 100 {
		return fmt.Errorf("%s: %v is not a probability from 0 to 1: %v %% is %v", name, p, p, p/100)
	}
	return fmt.Errorf("%s: %v is not a probability from 0 to 1", name, p)
}
