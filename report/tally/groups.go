package tally

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/pointer"
)

const (
	maxPlaces     = 100 // of a group
	maxExemplars  = 4   // of a group
	maxDiffs      = 10  // of an exemplar
	maxShown      = 256 // bytes of a value of an exemplar
	fewestOfRoute = 16  // fields or groups that a route may have, however few there are
)

// field is a place of a series. It never changes.
type field struct {
	place Place
	index int // in cell.fields
}

// fieldCounts is what a cell counts of a field.
type fieldCounts struct {
	results     uint64
	first, last time.Time
	classes     [numClasses]uint64
	pairs       windowed[Pairs]

	candidate, control bool // of the result that is being counted
}

// group is a group of a series. It never changes, but for its exemplars.
type group struct {
	fingerprint uint64 // 0 is Other
	primary     int    // status
	shadow      int    // status
	places      []Place
	more        bool
	index       int // in cell.groups

	exemplars atomic.Pointer[[]*exemplar] // in order, of different shapes; replaced, not changed
}

// groupCounts is what a cell counts of a group.
type groupCounts struct {
	results     uint64
	controlled  uint64
	weight      float64
	first, last time.Time
	classes     [numClasses]uint64
	windows     windows[uint32]
}

// classes are the classes of differences; what is none of them counts as the last one.
var classes = [...]shadow.DiffClass{
	shadow.ClassNone, shadow.ClassTimestamp, shadow.ClassUUID, shadow.ClassToken, shadow.ClassRounding,
	shadow.ClassNumeric, shadow.ClassOrder, shadow.ClassCase, shadow.ClassSpace, shadow.ClassHost, Other,
}

const numClasses = len(classes)

func classOf(c shadow.DiffClass) int {
	if i := slices.Index(classes[:], c); i >= 0 {
		return i
	}
	return numClasses - 1
}

// seen is a difference of the result that is being counted.
type seen struct {
	field   *field
	class   int
	control bool // of the control, not of the candidate
}

// look finds the fields and the group of r.
func (w *writer) look(t *Tally, s *series, r *shadow.Result) {
	w.seen, w.hashes, w.group = w.seen[:0], w.hashes[:0], nil
	for i := range r.Diffs {
		d := &r.Diffs[i]
		w.fold(d)
		w.hashes = append(w.hashes, xxhash.Sum64(w.folded))
		w.seen = append(w.seen, seen{field: s.field(t, w), class: classOf(d.Class)})
	}
	for i := range r.Noise {
		w.fold(&r.Noise[i])
		w.seen = append(w.seen, seen{field: s.field(t, w), class: classOf(r.Noise[i].Class)})
	}
	if r.Control != nil {
		for i := range r.Control.Diffs {
			w.fold(&r.Control.Diffs[i])
			w.seen = append(w.seen, seen{field: s.field(t, w), control: true})
		}
	}
	if r.Outcome == shadow.Mismatch && len(r.Diffs) > 0 {
		w.group = s.group(t, w.fingerprint(s.key.route, r), r)
	}
}

// differ counts what w has seen of r.
func (c *cell) differ(w *writer, r *shadow.Result, weight float64, now time.Time, window uint64) {
	for _, d := range w.seen {
		f := at(&c.fields, d.field.index)
		if d.control {
			f.control = true
			continue
		}
		f.candidate = true
		f.classes[d.class]++
	}
	for _, d := range w.seen {
		c.fields[d.field.index].count(r.Control != nil, now, window)
	}
	if w.group != nil {
		g := at(&c.groups, w.group.index)
		g.count(weight, now)
		if r.Control != nil {
			g.controlled++
		}
		for _, d := range w.seen[:len(r.Diffs)] {
			g.classes[d.class]++
		}
	}
}

// at returns the element with that index of a list that grows as needed.
func at[T any](list *[]T, index int) *T {
	if index >= len(*list) {
		*list = append(*list, make([]T, index+1-len(*list))...)
	}
	return &(*list)[index]
}

// fold writes where and how d differs to w.folded: path, zero, kind.
func (w *writer) fold(d *shadow.Diff) {
	w.folded = pointer.AppendFold(w.folded[:0], cut(d.Path, maxPath))
	w.folded = append(append(w.folded, 0), cut(string(d.Kind), maxName)...)
}

// place is what fold wrote.
func (w *writer) place() Place {
	path, kind, _ := strings.Cut(string(w.folded), "\x00")
	return Place{Path: path, Kind: shadow.DiffKind(kind)}
}

// field returns the field of what fold wrote, or the one of Other.
func (s *series) field(t *Tally, w *writer) *field {
	if f := s.knownField(w.folded); f != nil {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.knownField(w.folded); f != nil {
		return f
	}
	known := *s.fields.Load()
	f, key := &field{place: w.place(), index: len(known)}, string(w.folded)
	if len(known) >= perRoute(t.options.Fields) || !reserve(&t.fields, 1, int64(t.options.Fields)) {
		f.place, key = Place{Path: Other}, Other
	}
	known = maps.Clone(known)
	known[key] = f
	s.fields.Store(&known)
	return f
}

// knownField returns the field of what fold wrote, or the one of Other: once there is one, there
// is no room for others. It is nil where there is neither.
func (s *series) knownField(folded []byte) *field {
	fields := *s.fields.Load()
	if f := fields[string(folded)]; f != nil {
		return f
	}
	return fields[Other]
}

// perRoute is how much of all one route may take.
func perRoute(all int) int { return max(all/16, fewestOfRoute) }

// count counts a result that was noted in f, once.
func (f *fieldCounts) count(controlled bool, now time.Time, window uint64) {
	if f.candidate {
		f.results++
		if f.first.IsZero() {
			f.first = now
		}
		f.last = now
	}
	if controlled {
		f.pairs.turn(window)
		switch pairs := &f.pairs.now; {
		case f.candidate && f.control:
			pairs.Both++
		case f.candidate:
			pairs.CandidateOnly++
		case f.control:
			pairs.ControlOnly++
		}
	}
	f.candidate, f.control = false, false
}

// fingerprint returns the fingerprint of the group of r, which is never 0: a hash of the
// route, the statuses, and the set of hashes of the places. It is the same in every
// process.
func (w *writer) fingerprint(route string, r *shadow.Result) uint64 {
	slices.Sort(w.hashes)
	w.hashes = slices.Compact(w.hashes)
	w.folded = append(append(w.folded[:0], route...), 0)
	w.folded = binary.BigEndian.AppendUint32(w.folded, uint32(status(r.Primary)))
	w.folded = binary.BigEndian.AppendUint32(w.folded, uint32(status(r.Shadow)))
	for _, hash := range w.hashes {
		w.folded = binary.BigEndian.AppendUint64(w.folded, hash)
	}
	if r.More { // its places are not all known: it is not the group of those that are
		w.folded = append(w.folded, 1)
	}
	return max(xxhash.Sum64(w.folded), 1)
}

func status(m *shadow.Message) int {
	if m == nil {
		return 0
	}
	return m.StatusCode
}

// formatted is a fingerprint as it is shown.
func formatted(fingerprint uint64) string {
	if fingerprint == 0 {
		return Other
	}
	return hex(fingerprint)
}

func hex(n uint64) string { return fmt.Sprintf("%016x", n) }

func validFingerprint(s string) bool {
	n, err := strconv.ParseUint(s, 16, 64)
	return err == nil && n != 0 && s == hex(n)
}

// group returns the group of that fingerprint, or the one of Other.
func (s *series) group(t *Tally, fingerprint uint64, r *shadow.Result) *group {
	if g := s.knownGroup(fingerprint); g != nil {
		return g
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if g := s.knownGroup(fingerprint); g != nil {
		return g
	}
	known := *s.groups.Load()
	g := &group{index: len(known)}
	if len(known) < perRoute(t.options.Groups) && reserve(&t.groups, 1, int64(t.options.Groups)) {
		g.fingerprint, g.primary, g.shadow = fingerprint, status(r.Primary), status(r.Shadow)
		g.places, g.more = placesOf(r.Diffs)
		g.more = g.more || r.More
	} else {
		g.more = true
	}
	g.exemplars.Store(&[]*exemplar{})
	known = maps.Clone(known)
	known[g.fingerprint] = g
	s.groups.Store(&known)
	return g
}

// knownGroup is the same for groups.
func (s *series) knownGroup(fingerprint uint64) *group {
	groups := *s.groups.Load()
	if g := groups[fingerprint]; g != nil {
		return g
	}
	return groups[0]
}

// placesOf returns the first places of diffs, sorted.
func placesOf(diffs []shadow.Diff) (list []Place, more bool) {
	var w writer
	for i := range diffs {
		w.fold(&diffs[i])
		list = append(list, w.place())
	}
	slices.SortFunc(list, Place.compare)
	list = slices.Compact(list)
	if len(list) > maxPlaces {
		list, more = slices.Clip(list[:maxPlaces]), true
	}
	return slices.Clone(list), more
}

func (p Place) compare(o Place) int {
	return cmp.Or(pointer.Compare(p.Path, o.Path), cmp.Compare(p.Kind, o.Kind))
}

// count counts a result that many requests stand behind.
func (g *groupCounts) count(weight float64, now time.Time) {
	g.results++
	g.weight += weight
	if g.first.IsZero() {
		g.first = now
	}
	g.last = now
	second := now.Unix()
	*g.windows.minute(second)++
	*g.windows.hour(second)++
	*g.windows.day(second)++
}

// exemplar is an Exemplar and what it is chosen by. The exemplars of a group are those with
// the least shapes, a hash of what the values look like, and of each shape the one with
// the least hash of its ID: they differ from each other, and do not depend on the order of
// the results, nor on who saw them.
type exemplar struct {
	Exemplar
	shape uint64
	kept  *shadow.Exchange // the answers, for Suggest; nil where there was no room
	size  int64            // of the answers
}

// after reports whether e comes after the exemplar of the same shape that would be made of a
// result with that ID and start.
func (e *Exemplar) after(id string, start time.Time) bool {
	return cmp.Or(cmp.Compare(xxhash.Sum64String(e.ID), xxhash.Sum64String(id)), cmp.Compare(e.ID, id), e.Time.Compare(start)) > 0
}

// show makes r an exemplar of g if it is one.
func (g *group) show(t *Tally, s *series, shape uint64, r *shadow.Result) {
	if _, _, wanted := g.choose(shape, r); !wanted {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at, found, wanted := g.choose(shape, r)
	if !wanted {
		return
	}
	list := slices.Clone(*g.exemplars.Load())
	switch {
	case found:
		t.drop(list[at])
		list = slices.Delete(list, at, at+1)
	case len(list) == maxExemplars:
		t.drop(list[maxExemplars-1])
		list = list[:maxExemplars-1]
	}
	list = slices.Insert(list, at, t.keep(shape, s.key.route, r))
	g.exemplars.Store(&list)
}

// choose reports whether r is wanted as an exemplar, where it belongs, and whether it takes
// the place of the one there.
func (g *group) choose(shape uint64, r *shadow.Result) (at int, found, wanted bool) {
	list := *g.exemplars.Load()
	at, found = slices.BinarySearchFunc(list, shape, func(e *exemplar, shape uint64) int { return cmp.Compare(e.shape, shape) })
	return at, found, at < maxExemplars && (!found || list[at].after(name(r.ID), r.Start))
}

// shape is a hash of what the values of the first diffs look like: their type and class,
// and their length by powers of 2. The diffs are the first that w has seen.
func (w *writer) shape(diffs []shadow.Diff) uint64 {
	const first = 8
	w.folded = w.folded[:0]
	for i := range diffs[:min(len(diffs), first)] {
		d := &diffs[i]
		w.folded = append(w.folded, byte(w.seen[i].class), begin(d.Primary), begin(d.Shadow),
			byte(bits.Len(uint(len(d.Primary)))), byte(bits.Len(uint(len(d.Shadow)))))
	}
	return xxhash.Sum64(append(w.folded, byte(bits.Len(uint(len(diffs))))))
}

// begin tells the type of a JSON text by its first byte.
func begin(text []byte) byte {
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '-' || text[0]-'0' <= 9:
		return '0'
	}
	return text[0]
}

func newExemplar(shape uint64, r *shadow.Result) Exemplar {
	e := Exemplar{Shape: hex(shape), ID: strings.Clone(name(r.ID)), Time: r.Start.UTC().Round(0), More: r.More || len(r.Diffs) > maxDiffs}
	if m := r.Request; m != nil {
		e.Method = strings.Clone(name(m.Method))
		if m.URL != nil {
			e.Path = strings.Clone(cut((&url.URL{Path: m.URL.Path, RawPath: m.URL.RawPath}).EscapedPath(), maxPath))
		}
	}
	for _, d := range r.Diffs[:min(len(r.Diffs), maxDiffs)] {
		e.Diffs = append(e.Diffs, ExemplarDiff{
			Path: strings.Clone(cut(d.Path, maxPath)), Kind: shadow.DiffKind(strings.Clone(name(string(d.Kind)))), Class: classes[classOf(d.Class)],
			Primary: shown(d.Primary), Shadow: shown(d.Shadow),
		})
	}
	return e
}

func shown(value []byte) string {
	if len(value) <= maxShown {
		return string(value)
	}
	return cut(string(value[:maxShown+4]), maxShown) + "…"
}

// summary is what classes come to.
func summary(classes map[shadow.DiffClass]uint64) string {
	all := uint64(0)
	var list []shadow.DiffClass
	for class, n := range classes {
		all += n
		list = append(list, class)
	}
	slices.SortFunc(list, func(a, b shadow.DiffClass) int {
		return cmp.Or(cmp.Compare(classes[b], classes[a]), cmp.Compare(a, b))
	})
	switch len(list) {
	case 0:
		return ""
	case 1:
		return "all are " + plural(list[0])
	}
	for i, class := range list {
		share := strconv.FormatFloat(100*float64(classes[class])/float64(all), 'f', 0, 64)
		list[i] = shadow.DiffClass(share + " % are " + plural(class))
	}
	var text strings.Builder
	for i, part := range list {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(string(part))
	}
	return text.String()
}

// plural names the differences of a class.
func plural(c shadow.DiffClass) string {
	switch c {
	case shadow.ClassNone:
		return "different values"
	case shadow.ClassTimestamp:
		return "timestamps"
	case shadow.ClassUUID:
		return "UUIDs"
	case shadow.ClassToken:
		return "tokens"
	case shadow.ClassRounding:
		return "rounded numbers"
	case shadow.ClassNumeric:
		return "numbers in strings"
	case shadow.ClassOrder:
		return "reordered elements"
	case shadow.ClassCase:
		return "upper and lower case"
	case shadow.ClassSpace:
		return "white space"
	case shadow.ClassHost:
		return "hosts of URLs"
	}
	return "of classes of their own"
}
