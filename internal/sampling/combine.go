package sampling

import (
	"cmp"
	"math"
	"net/http"
	"strings"
)

// Parts are the parts of a composite, which it asks one after another.
type Parts struct {
	Description // of the composite, without Of and Foresee
	list        []Description
	tied        bool // more than one of them has a ByKey in it
}

// NewParts describes the parts of a composite. With inOrder they are asked up to the first that says
// no, and the probabilities of the others are not known then.
func NewParts[S any](list []S) *Parts {
	p := &Parts{}
	keyed := 0
	for _, part := range list {
		p.list = append(p.list, Describe(part))
		if p.list[len(p.list)-1].Keyed {
			keyed++
		}
	}
	p.tied = keyed > 1
	p.Description = Merge(p.list)
	p.Unknown = p.Unknown || p.tied
	return p
}

// StopAtNo says that the composite does not ask the parts behind the first that says no. Then it
// does not know their probabilities.
func (p *Parts) StopAtNo() {
	for i, part := range p.list {
		p.Unknown = p.Unknown || i < len(p.list)-1 && !part.Settled
	}
}

// Probability returns the probability of a decision of part i, of which it said that it is
// told: NaN if it is not known.
func (p *Parts) Probability(i int, told float64, sampled bool) float64 {
	part := &p.list[i]
	if !(told >= 0 && told <= 1) || told == 0 && (sampled || part.Unknown || part.Silent) {
		return math.NaN()
	}
	return told
}

// Lasting returns known, the probability of a decision of part i, or NaN if part i does not know
// it for every outcome. A probability of 1 is certain.
func (p *Parts) Lasting(i int, known float64) float64 {
	if p.list[i].Unknown && known != 1 {
		return math.NaN()
	}
	return known
}

// InVain reports whether asking part i behind a yes cannot help to know the probability. None is
// the probability that the parts before it all say no.
func (p *Parts) InVain(i int, none float64) bool {
	return p.list[i].Unknown || p.list[i].Silent && math.IsNaN(none)
}

// Told returns the probability that the composite reports: 0 if it is NaN, or rests on parts
// that are not independent.
func (p *Parts) Told(probability float64) float64 {
	if p.tied && probability != 1 || math.IsNaN(probability) {
		return 0
	}
	return probability
}

// Decision is shadow.Decision.
type Decision struct {
	Sampled     bool
	Probability float64
	Stratum     string
}

// All asks the parts in order up to the first that says no.
func (p *Parts) All(ask func(i int) Decision) Decision {
	all := Decision{Sampled: true, Probability: 1}
	for i := range p.list {
		d := ask(i)
		all.Probability *= p.Probability(i, d.Probability, d.Sampled)
		all.Stratum = cmp.Or(all.Stratum, d.Stratum)
		if all.Sampled = d.Sampled; !d.Sampled {
			if i < len(p.list)-1 && all.Probability != 0 {
				all.Probability = math.NaN() // those that were not asked did not say
			}
			break
		}
	}
	all.Probability = p.Told(all.Probability)
	return all
}

// Any asks the parts in order up to the first that is certain to say yes, and behind a yes those
// that help to know the probability.
func (p *Parts) Any(ask func(i int) Decision) Decision {
	var sum Decision
	none := 1.0 // the probability that all say no
	for i := range p.list {
		if sum.Sampled && p.InVain(i, none) {
			none = math.NaN()
			continue
		}
		d := ask(i)
		sum.Sampled = sum.Sampled || d.Sampled
		sum.Stratum = cmp.Or(sum.Stratum, d.Stratum)
		chance := p.Lasting(i, p.Probability(i, d.Probability, d.Sampled))
		if chance == 1 {
			sum.Probability = 1
			return sum
		}
		none *= 1 - chance
	}
	sum.Probability = p.Told(1 - none)
	return sum
}

// ForeseeAll asks in order up to the first part that is certain to say no.
func (p *Parts) ForeseeAll(r *http.Request) Foresight {
	all := Foresight{Sampled: Yes, Probability: 1}
	var texts []string
	for _, part := range p.list {
		f := part.Foresee(r)
		texts = append(texts, f.Text)
		all.Probability *= f.Probability
		if f.Sampled == No {
			all.Sampled = No
			if all.Probability = 0; f.Probability != 0 {
				all.Probability = math.NaN()
			}
			break
		}
		if f.Sampled == Maybe {
			all.Sampled = Maybe
		}
	}
	if p.tied && all.Probability != 0 {
		all.Probability = math.NaN()
	}
	all.Text = "All(" + strings.Join(texts, "; ") + ")"
	return all
}

// ForeseeAny asks in order up to the first part that is certain to say yes.
func (p *Parts) ForeseeAny(r *http.Request) Foresight {
	sum := Foresight{Sampled: No}
	none := 1.0 // the probability that all say no
	var texts []string
	for i, part := range p.list {
		if sum.Sampled == Yes && p.InVain(i, none) {
			none = math.NaN()
			continue
		}
		f := part.Foresee(r)
		texts = append(texts, f.Text)
		switch {
		case f.Sampled == Yes:
			sum.Sampled = Yes
		case f.Sampled == Maybe && sum.Sampled == No:
			sum.Sampled = Maybe
		}
		if f.Probability == 1 {
			none = 0
			break
		}
		none *= 1 - f.Probability
	}
	if sum.Probability = 1 - none; p.tied && sum.Probability != 0 && sum.Probability != 1 {
		sum.Probability = math.NaN()
	}
	sum.Text = "Any(" + strings.Join(texts, "; ") + ")"
	return sum
}
