package ledger

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Put sets the count of reason to n, if n is not 0. It makes the map if there is none.
func Put[R ~string](counts *map[R]uint64, reason R, n uint64) {
	if n == 0 {
		return
	}
	if *counts == nil {
		*counts = map[R]uint64{}
	}
	(*counts)[reason] = n
}

// Why lists the reasons for which no answers of a route were compared, the most frequent one first.
// Requests that passed for another reason than notSampled were never offered to the Sampler.
func Why[R ~string](failed, uncompared uint64, lost, passed map[R]uint64, notSampled R) string {
	type cause struct {
		n    uint64
		text string
	}
	causes := []cause{{failed, "without an answer of the shadow"}, {uncompared, "not comparable"}}
	for reason, n := range lost {
		causes = append(causes, cause{n, string(reason)})
	}
	for reason, n := range passed {
		text := string(reason)
		if reason != notSampled {
			text += ", before it could be sampled"
		}
		causes = append(causes, cause{n, text})
	}
	slices.SortFunc(causes, func(a, b cause) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.text, b.text))
	})
	var parts []string
	for _, one := range causes {
		if one.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", one.n, one.text))
		}
	}
	return strings.Join(parts, "; ")
}
