package tally

import (
	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow"
)

// Fingerprint returns the fingerprint of the Group that a Tally counts r in, as far as its
// caps allow: a hash of the route, the two statuses and the places that differ, which is
// the same in every process and holds no value. A result without differences has one as
// well, that of its route and statuses.
func Fingerprint(r *shadow.Result) string {
	var w writer
	for i := range r.Diffs {
		w.fold(&r.Diffs[i])
		w.hashes = append(w.hashes, xxhash.Sum64(w.folded))
	}
	return hex(w.fingerprint(name(r.Route), r))
}
