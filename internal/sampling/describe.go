package sampling

import (
	"fmt"
	"math"
	"net/http"
	"reflect"

	"github.com/goshadow/shadow/internal/composite"
)

// ForceHeader carries the token of Force. It is one of the credentials: reports do not show it
// and DropCredentials removes it.
const ForceHeader = "Shadow-Force"

// Described is implemented by the samplers of this module. New and composites ask it when they
// are made, and Explain does.
type Described interface{ Describe() Description }

// Description is what a sampler says about itself.
type Description struct {
	// Of is the sampler. A type that embeds a sampler has its Describe too, and is another.
	Of any

	UserCode bool // Sample runs user code on the goroutine of the caller
	Quick    bool // Sample looks at nothing, cannot panic, and takes less time than a look at the clock
	Unknown  bool // the probability is not known, or not for every outcome
	Silent   bool // a probability of 0 means that it is not known, or that it is 0
	Settled  bool // the probability is 0 or 1
	Keyed    bool // decisions depend on a hash of a key

	// Foresee returns what Sample would decide, and changes nothing.
	Foresee func(r *http.Request) Foresight
}

// own returns the description of s, if s is a sampler of this module.
func own(s any) (Description, bool) {
	if d, ok := s.(Described); ok && !composite.IsNil(s) {
		about := d.Describe()
		return about, reflect.TypeOf(about.Of) == reflect.TypeOf(s)
	}
	return Description{}, false
}

// Describe returns the description of s. That of a user's wrapper is made of those of its parts.
func Describe[S any](s S) Description {
	if d, ok := own(s); ok {
		return d
	}
	m, d := Merge(inside(s)), User(s)
	d.Unknown, d.Silent, d.Settled, d.Keyed = m.Unknown, m.Silent, m.Settled, m.Keyed
	return d
}

// User returns the description of a user's s, which is never asked beforehand.
func User(s any) Description {
	return Description{Of: s, UserCode: true, Foresee: func(*http.Request) Foresight {
		return Foresight{Maybe, math.NaN(), fmt.Sprintf("%T is not asked: that might change what it says next", s)}
	}}
}

// inside returns the descriptions of all parts of a user's s that are not such wrappers
// themselves. A user's sampler without parts may not know its probability.
func inside[S any](s S) []Description {
	var parts []Description
	for part := range composite.All(s) {
		if d, ok := own(part); ok {
			parts = append(parts, d)
		} else if w, ok := any(part).(composite.Composite[S]); !ok || len(w.Unwrap()) == 0 {
			parts = append(parts, Description{Silent: true})
		}
	}
	return parts
}

// Merge returns what is true of one of the parts, or of all.
func Merge(parts []Description) Description {
	m := Description{Settled: true}
	for _, d := range parts {
		m.Unknown, m.Silent, m.Keyed = m.Unknown || d.Unknown, m.Silent || d.Silent, m.Keyed || d.Keyed
		m.Settled = m.Settled && d.Settled
	}
	return m
}

// Outlook is what is known about a decision beforehand.
type Outlook int

// The outlooks.
const (
	Maybe Outlook = iota
	Yes
	No
)

// Foresight is what a sampler would decide.
type Foresight struct {
	Sampled     Outlook
	Probability float64 // NaN if it is not known
	Text        string  // what was looked at
}

// Of returns f with the name of what decides in front of its text.
func (f Foresight) Of(name string) Foresight {
	f.Text = name + ": " + f.Text
	return f
}

// Settle returns the foresight of a decision that is certain.
func Settle(yes bool, probability float64, text string) Foresight {
	if yes {
		return Foresight{Yes, probability, text}
	}
	return Foresight{No, probability, text}
}

// Rule returns the foresight of the named sampler whose probability is 0 or 1.
func Rule(name string, yes bool) Foresight {
	if yes {
		return Settle(true, 1, name+" says yes")
	}
	return Settle(false, 0, name+" says no")
}

// Foresee returns the foresight of the named sampler that samples with the Chance c.
func (c Chance) Foresee(name string) Foresight {
	f := Foresight{Maybe, c.Probability(), fmt.Sprintf("%s draws with probability %.4g", name, c.Probability())}
	switch c {
	case 0:
		f.Sampled = No
	case Certain:
		f.Sampled = Yes
	}
	return f
}

// Foreseen returns the function that returns c.Foresee(name).
func (c Chance) Foreseen(name string) func(*http.Request) Foresight {
	return func(*http.Request) Foresight { return c.Foresee(name) }
}

// ForeseeKey returns the foresight of ByKey, which samples the share c of all keys.
func (c Chance) ForeseeKey(key string, in bool) Foresight {
	place := map[bool]string{true: "within", false: "outside of"}[in]
	if key == "" {
		return Settle(false, 0, "the key of ByKey is empty")
	}
	return Settle(in, c.Probability(), fmt.Sprintf("the key of ByKey is %s the share of %.4g", place, c.Probability()))
}
