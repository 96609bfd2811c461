package shadow

import (
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/redact"
)

// fieldDiffs compares the named fields of two headers.
func (c *RuleComparator) fieldDiffs(prefix string, p, s http.Header, list []string) (diffs []Diff) {
	for _, name := range list {
		a, b := p.Values(name), s.Values(name)
		name = http.CanonicalHeaderKey(name)
		if slices.Equal(a, b) || sameField(name, a, b) {
			continue
		}
		if name == "Set-Cookie" {
			diffs = append(diffs, cookieDiffs(prefix+name+"/", a, b)...)
			continue
		}
		d := Diff{Path: prefix + name}
		switch {
		case len(b) == 0:
			d.Kind = Missing
		case len(a) == 0:
			d.Kind = Extra
		default:
			d.Kind = Changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// sameField tells whether two lists of values of a field mean the same.
func sameField(name string, a, b []string) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if name != "Set-Cookie" && strings.Join(a, ", ") == strings.Join(b, ", ") {
		return true // RFC 9110 section 5.3
	}
	switch name {
	case "Content-Type", "Content-Disposition":
		return len(a) == 1 && len(b) == 1 && sameMediaType(a[0], b[0])
	case "Accept-Ranges", "Allow", "Cache-Control", "Link", "Vary",
		"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Expose-Headers":
		return slices.Equal(sortedList(name, a), sortedList(name, b)) // sets, as HTTP has it
	}
	return false
}

// cookieDiffs compares the cookies that two answers set: their values and attributes.
func cookieDiffs(prefix string, p, s []string) (diffs []Diff) {
	now := time.Now()
	a, b := cookies(p, now), cookies(s, now)
	for _, name := range slices.Sorted(maps.Keys(union(a, b))) {
		x, inA := a[name]
		y, inB := b[name]
		d := Diff{Path: prefix + redact.Escape(name)}
		switch {
		case maps.Equal(x, y):
			continue
		case !inB:
			d.Kind = Missing
		case !inA:
			d.Kind = Extra
		default:
			d.Kind = Changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// scope is what tells cookies of one name apart (RFC 6265 section 5.3, step 11).
type scope struct{ domain, path string }

// cookies are the cookies that are set, by name: their values and attributes. Of several
// with one name and scope the last counts, as it does for a browser. A date counts as past
// or future.
func cookies(lines []string, now time.Time) map[string]map[scope]string {
	set := map[string]map[scope]string{}
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		name = textproto.TrimString(name)
		at := scope{}
		list := []string{textproto.TrimString(value)}
		for attribute := range strings.SplitSeq(attributes, ";") {
			key, v, _ := strings.Cut(attribute, "=")
			key, v = strings.ToLower(textproto.TrimString(key)), textproto.TrimString(v)
			switch key {
			case "":
				continue
			case "domain":
				v = strings.ToLower(strings.TrimPrefix(v, ".")) // RFC 6265 section 5.2.3
				at.domain = v
			case "samesite":
				v = strings.ToLower(v)
			case "path":
				at.path = v
			case "expires":
				if t, err := http.ParseTime(v); err == nil {
					v = strconv.FormatBool(t.After(now))
				}
			}
			list = append(list, key+"="+v)
		}
		slices.Sort(list[1:])
		if set[name] == nil {
			set[name] = map[scope]string{}
		}
		set[name][at] = strings.Join(list, "; ")
	}
	return set
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	all := make(map[K]V, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}

func sameMediaType(a, b string) bool {
	x, xp, err := mime.ParseMediaType(a)
	y, yp, err2 := mime.ParseMediaType(b)
	if err != nil || err2 != nil || x != y {
		return false
	}
	if strings.HasPrefix(x, "multipart/") { // made anew for each message
		delete(xp, "boundary")
		delete(yp, "boundary")
	}
	if len(xp) != len(yp) {
		return false
	}
	for name, v := range xp {
		w, ok := yp[name]
		if !ok || v != w && !(name == "charset" && strings.EqualFold(v, w)) {
			return false
		}
	}
	return true
}

// sortedList splits the values of a list field at commas that are neither quoted nor in
// the URI of a link (RFC 8288 section 3).
func sortedList(name string, values []string) []string {
	var list []string
	for _, v := range values {
		quoted, from := false, 0
		for i := 0; i <= len(v); i++ {
			switch {
			case i < len(v) && v[i] == '"':
				quoted = !quoted
			case i < len(v) && v[i] == '\\' && quoted:
				i++
			case i < len(v) && v[i] == '<' && !quoted && name == "Link":
				if uri := strings.IndexByte(v[i:], '>'); uri > 0 {
					i += uri
				}
			case i == len(v) || v[i] == ',' && !quoted:
				if part := textproto.TrimString(v[from:i]); part != "" {
					list = append(list, part)
				}
				from = i + 1
			}
		}
	}
	if name != "Link" && name != "Allow" && name != "Access-Control-Allow-Methods" { // methods and URLs have a case
		for i := range list {
			list[i] = strings.ToLower(list[i])
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
