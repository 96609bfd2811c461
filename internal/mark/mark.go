// Package mark knows how a shadow copy is told from real traffic: in a context, on
// a request, and by the marks that other mirrors use.
package mark

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/baggage"
)

// Header carries the correlation ID of a copy. BaggageMember is the key that travels
// on beyond the first hop (W3C Baggage). Check is on the probe of preflight.Check, and on the
// answer of who knows it for a copy: a field of its own, as answers to copies are not touched. Mirror holds a random value
// by which a mirror knows its own copies when they come back to it. It marks nothing for
// anybody else, so Strip leaves it.
const (
	Header        = "Shadow-Request"
	Check         = "Shadow-Check"
	Mirror        = "Shadow-Mirror"
	BaggageMember = "shadow"
)

// SideEffect is the field by which an answer says that a copy was about to write. Its values
// are SideEffects.
const SideEffect = "Shadow-Side-Effect"

// SideEffects are the kinds of side effects that are told apart: what was stopped was a
// request, or a statement for a database.
var SideEffects = [...]string{SideEffectHTTP, SideEffectSQL}

// The kinds of side effects.
const (
	SideEffectHTTP = "http"
	SideEffectSQL  = "sql"
)

// SideEffectsOf returns the kinds of side effects that the header of an answer reports, fit for a
// metric.
func SideEffectsOf(h http.Header) []string {
	var kinds []string
	for _, kind := range h[SideEffect] {
		if !slices.Contains(SideEffects[:], kind) {
			kind = "_OTHER" // the semantic conventions' name for an unknown value
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

// foreign are the headers by which other mirroring tools mark their copies.
var foreign = [...]string{skipper, skipperLoopback, parapet, mroki, autumn, armada, express}

const (
	skipper         = "X-Skipper-Shadow-Traffic"
	skipperLoopback = "X-Tee-Loopback-Key"
	parapet         = "X-Mirror"
	mroki           = "X-Mroki-Mode"
	autumn          = "X-Autumn-Shadow"
	armada          = "X-Mirrored-Request"
	express         = "X-Shadow-Traffic" // express-shadow-mirror
)

// Mark is what the context of a shadow copy carries.
type Mark struct {
	Target string // name of the target; empty where another process made the copy
	ID     string // correlation ID
}

type key struct{}

// Key is the key of a context's *Mark.
var Key any = key{}

// With returns ctx with m.
func With(ctx context.Context, m *Mark) context.Context { return context.WithValue(ctx, Key, m) }

// From returns the mark of ctx, or nil.
func From(ctx context.Context) *Mark {
	m, _ := ctx.Value(Key).(*Mark)
	return m
}

// Find reports whether r is marked as a copy, by this library or by another mirror, and
// with which ID.
func Find(r *http.Request) (id string, ok bool) {
	if v := r.Header[Header]; len(v) > 0 {
		return v[0], true
	}
	for name, values := range r.Header {
		if In(name, values) {
			return "", true
		}
	}
	return "", OnHost(r.Host)
}

// In reports whether a header field with one value or several marks a copy.
func In(name string, values []string) bool {
	switch name {
	case Header, skipper, skipperLoopback, parapet, mroki, autumn, armada, express:
		return len(values) > 0
	case "Baggage":
		return slices.ContainsFunc(values, inBaggage)
	}
	return false
}

// OnHost reports whether a host marks a copy: Envoy and Istio append "-shadow" to it.
func OnHost(host string) bool {
	host, _, _ = strings.Cut(host, ":")
	return strings.HasSuffix(host, "-shadow")
}

// inBaggage reports whether a baggage header has the member shadow=true. Values are
// percent-encoded (W3C Baggage section 3.3.1.3).
func inBaggage(list string) bool {
	if !strings.Contains(list, BaggageMember) {
		return false
	}
	for member := range strings.SplitSeq(list, ",") {
		pair, _, _ := strings.Cut(member, ";")
		key, value, _ := strings.Cut(pair, "=")
		value, err := url.PathUnescape(textproto.TrimString(value))
		if err == nil && textproto.TrimString(key) == BaggageMember && value == "true" {
			return true
		}
	}
	return false
}

// Strip removes every mark from h.
func Strip(h http.Header) {
	delete(h, Header)
	for _, name := range foreign {
		delete(h, name)
	}
	filter(h, inBaggage)
}

// filter removes from the baggage of h the members that drop is true of.
func filter(h http.Header, drop func(member string) bool) {
	var kept []string
	dropped := false
	for _, v := range h["Baggage"] {
		for member := range strings.SplitSeq(v, ",") {
			member = textproto.TrimString(member)
			if drop(member) {
				dropped = true
			} else if member != "" {
				kept = append(kept, member)
			}
		}
	}
	switch {
	case !dropped:
	case len(kept) == 0:
		delete(h, "Baggage")
	default:
		h["Baggage"] = []string{strings.Join(kept, ",")}
	}
}

// DropMembers removes from the baggage of h the members that have the given value.
func DropMembers(h http.Header, value string) {
	filter(h, func(member string) bool {
		pair, _, _ := strings.Cut(member, ";")
		_, v, _ := strings.Cut(pair, "=")
		v, err := url.PathUnescape(textproto.TrimString(v))
		return err == nil && v == value
	})
}

// Set marks h as a copy with the given ID that the mirror with the given nonce sends. It
// returns the baggage that goes with it: the members that h has, as far as they are valid, and
// shadow=true. The values are put into store.
func Set(h http.Header, id, nonce string, store *[Fields]string) baggage.Baggage {
	Strip(h)
	*store = [Fields]string{id, nonce, memberText}
	values := store[:]
	h[Header], h[Mirror] = values[:1:1], values[1:2:2]
	lines := h["Baggage"]
	h["Baggage"] = values[2:]
	if len(lines) == 0 {
		return Only
	}
	bag, _ := baggage.Parse(strings.Join(lines, ",")) // with an error too it has the valid members
	bag, err := bag.SetMember(Only.Member(BaggageMember))
	if err != nil || bag.Len() > maxMembers || len(bag.String()) > maxBaggage {
		return Only
	}
	values[2] = bag.String()
	return bag
}

// Fields is how many header fields Set sets.
const Fields = 3

const memberText = BaggageMember + "=true"

// Only is the baggage that has shadow=true and nothing else.
var Only = func() baggage.Baggage {
	bag, err := baggage.Parse(memberText)
	if err != nil {
		panic(err)
	}
	return bag
}()

// maxMembers and maxBaggage (bytes) are what every platform must propagate (W3C Baggage
// section 3.3.2): of more the mark might be what is lost.
const (
	maxMembers = 64
	maxBaggage = 8192
)
