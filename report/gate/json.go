package gate

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/goshadow/shadow"
)

// UnmarshalJSON reads criteria strictly: an unknown or repeated member, a value of the
// wrong type, and all that Validate finds is an error, and every one of them is reported
// at once. With an error c is unchanged.
func (c *Criteria) UnmarshalJSON(data []byte) error {
	if !json.Valid(data) {
		return errors.New("gate: criteria: not valid JSON")
	}
	var read Criteria
	var r reader
	r.object("", gjson.ParseBytes(data), map[string]func(string, gjson.Result){
		"mirror":           func(at string, v gjson.Result) { read.Mirror = r.text(at, v) },
		"target":           func(at string, v gjson.Result) { read.Target = r.text(at, v) },
		"confidence":       func(at string, v gjson.Result) { read.Confidence = r.positive(at, v) },
		"looks":            func(at string, v gjson.Result) { read.Looks = Looks(r.text(at, v)) },
		"leastProbability": func(at string, v gjson.Result) { read.LeastProbability = r.positive(at, v) },
		"minDuration":      func(at string, v gjson.Result) { read.MinDuration = r.duration(at, v) },
		"exclude":          func(at string, v gjson.Result) { read.Exclude = r.texts(at, v) },
		"limits":           func(at string, v gjson.Result) { read.Limits = r.limits(at, v) },
		"eachRoute":        func(at string, v gjson.Result) { read.EachRoute = r.limits(at, v) },
		"coverage": func(at string, v gjson.Result) {
			r.object(at, v, map[string]func(string, gjson.Result){
				"share":    func(at string, v gjson.Result) { read.Coverage.Share = r.positive(at, v) },
				"compared": func(at string, v gjson.Result) { read.Coverage.Compared = r.count(at, v) },
				"routes":   func(at string, v gjson.Result) { read.Coverage.Routes = r.texts(at, v) },
			})
		},
		"routes": func(at string, v gjson.Result) {
			read.Routes = map[string]Limits{}
			r.members(at, v, func(route, at string, v gjson.Result) { read.Routes[route] = r.limits(at, v) })
		},
		"events": func(at string, v gjson.Result) {
			read.Events = map[shadow.EventKind]uint64{}
			r.members(at, v, func(kind, at string, v gjson.Result) { read.Events[shadow.EventKind(kind)] = r.count(at, v) })
		},
		"figures": func(at string, v gjson.Result) {
			read.Figures = map[string]Range{}
			r.members(at, v, func(name, at string, v gjson.Result) {
				var figure Range
				r.object(at, v, map[string]func(string, gjson.Result){
					"min": func(at string, v gjson.Result) { figure.Min = new(r.number(at, v)) },
					"max": func(at string, v gjson.Result) { figure.Max = new(r.number(at, v)) },
				})
				read.Figures[name] = figure
			})
		},
	})
	if len(r.faults) > 0 {
		r.faults = append(r.faults, read.faults()...)
	} else if err := read.Validate(); err != nil {
		return err
	}
	if err := r.join(); err != nil {
		return err
	}
	*c = read
	return nil
}

// reader reads values and collects what is wrong with them.
type reader struct{ faults }

// object reads an object all of whose members are known.
func (r *reader) object(where string, v gjson.Result, known map[string]func(where string, v gjson.Result)) {
	r.members(where, v, func(name, at string, v gjson.Result) {
		read, ok := known[name]
		if !ok {
			r.add(at, "there is no such member")
			return
		}
		if where != "" {
			name = where + "." + name
		}
		read(name, v)
	})
}

// members reads an object whose members may have any name.
func (r *reader) members(where string, v gjson.Result, read func(name, at string, v gjson.Result)) {
	if !v.IsObject() {
		r.add(where, "is not an object")
		return
	}
	seen := map[string]bool{}
	v.ForEach(func(key, v gjson.Result) bool {
		name := key.String()
		at := place(where, name)
		if seen[name] {
			r.add(at, "is there twice")
		}
		seen[name] = true
		read(name, at, v)
		return true
	})
}

func (r *reader) limits(where string, v gjson.Result) Limits {
	limits := Limits{}
	r.members(where, v, func(name, _ string, v gjson.Result) {
		limits[Measure(name)] = r.number(where+"."+name, v)
	})
	return limits
}

func (r *reader) text(where string, v gjson.Result) string {
	if v.Type != gjson.String {
		r.add(where, "is not a string")
	}
	return v.Str
}

func (r *reader) texts(where string, v gjson.Result) []string {
	if !v.IsArray() {
		r.add(where, "is not an array of strings")
		return nil
	}
	var list []string
	for i, v := range v.Array() {
		list = append(list, r.text(at(where, i), v))
	}
	return list
}

func (r *reader) number(where string, v gjson.Result) float64 {
	n, err := strconv.ParseFloat(v.Raw, 64)
	if v.Type != gjson.Number || err != nil {
		r.add(where, "is not a number that fits")
	}
	return n
}

// positive reads a number whose zero would mean its default.
func (r *reader) positive(where string, v gjson.Result) float64 {
	n := r.number(where, v)
	if v.Type == gjson.Number && n <= 0 {
		r.add(where, "%v is not over 0", n)
	}
	return n
}

func (r *reader) count(where string, v gjson.Result) uint64 {
	n, err := strconv.ParseUint(v.Raw, 10, 64)
	if v.Type != gjson.Number || err != nil {
		r.add(where, "is not a whole number from 0 on")
	}
	return n
}

func (r *reader) duration(where string, v gjson.Result) Duration {
	var d Duration
	err := d.UnmarshalText([]byte(v.Str))
	if v.Type != gjson.String || err != nil {
		r.add(where, `is not a duration such as "1h30m"`)
	}
	return d
}
