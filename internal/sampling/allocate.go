package sampling

// Group is a group of requests that are sampled at one rate.
type Group struct {
	Traffic float64 // how many requests there were
	Weight  float64 // how much one copy of it is worth, more than 0
	Rate    float64 // what Allocate makes of it
}

// Bounds are those of each rate: 0 < Floor <= Ceiling <= 1.
type Bounds struct{ Floor, Ceiling float64 }

func (b Bounds) clamp(rate float64) float64 { return min(max(rate, b.Floor), b.Ceiling) }

// Allocate gives each group a rate within b, so that the groups have copies in proportion to
// their weights however much traffic they have, and copies of them in all: where the bounds
// leave no room for that, as near as can be. A group without traffic has the ceiling.
func Allocate(groups []Group, b Bounds, copies float64) {
	// What a rate is before it is bounded: level * Weight / Traffic. The number of copies
	// grows with the level, which is found by halving.
	none, all := 0.0, 0.0
	for _, g := range groups {
		all = max(all, 2*b.Ceiling*g.Traffic/g.Weight) // there every rate is the ceiling
	}
	for range 48 {
		level := none + (all-none)/2
		sum := 0.0
		for _, g := range groups {
			sum += g.copies(level, b)
		}
		if sum > copies {
			all = level
		} else {
			none = level
		}
	}
	for i := range groups {
		groups[i].Rate = groups[i].rate(none, b)
	}
}

func (g *Group) rate(level float64, b Bounds) float64 {
	if !(g.Traffic > 0) {
		return b.Ceiling
	}
	return b.clamp(level * g.Weight / g.Traffic)
}

func (g *Group) copies(level float64, b Bounds) float64 { return g.Traffic * g.rate(level, b) }
