package compare

import (
	"maps"
	"mime"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goshadow/shadow/internal/fields"
	"github.com/goshadow/shadow/internal/pointer"
)

// volatileFields are the header fields that CompareOptions.Headers leaves out by default: they
// differ between two right answers, or no client acts on them. The values of ETags and cookies,
// and nonces in policies and challenges, are left out besides.
var volatileFields = map[string]bool{
	// When the answer was made, and what caches say about it.
	"Age": true, "Date": true, "Expires": true, "X-Cache": true, "X-Cache-Hits": true, "X-Cache-Lookup": true,
	"Cache-Status": true, "Cf-Cache-Status": true, "X-Timer": true,
	// How the content is transferred. Bodies are compared decoded.
	"Connection": true, "Content-Encoding": true, "Content-Length": true, "Keep-Alive": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
	// Digests of the bytes that are transferred.
	"Content-Digest": true, "Content-Md5": true, "Digest": true, "Repr-Digest": true,
	// Who answered, and how long it took.
	"Alt-Svc": true, "Nel": true, "Report-To": true, "Reporting-Endpoints": true, "Server": true, "Server-Timing": true, "Via": true,
	"X-Envoy-Upstream-Service-Time": true, "X-Powered-By": true, "X-Response-Time": true, "X-Runtime": true,
	"X-Served-By": true, "X-Backend-Server": true,
	// Identifiers of one request.
	"Cf-Ray": true, "Correlation-Id": true, "Request-Id": true, "Traceparent": true, "Traceresponse": true, "Tracestate": true,
	"X-Amz-Cf-Id": true, "X-Amz-Id-2": true, "X-Amz-Request-Id": true, "X-Amzn-Requestid": true, "X-Amzn-Trace-Id": true,
	"X-B3-Parentspanid": true, "X-B3-Sampled": true, "X-B3-Spanid": true, "X-B3-Traceid": true, "X-Cloud-Trace-Context": true,
	"X-Correlation-Id": true, "X-Request-Id": true, "X-Trace-Id": true,
	// What is left of a quota that both answers use up.
	"Ratelimit": true, "Ratelimit-Remaining": true, "Ratelimit-Reset": true,
	"X-Ratelimit-Remaining": true, "X-Ratelimit-Reset": true, "X-Ratelimit-Used": true,
	// What a guard of the candidate says to the Mirror: see EventSideEffect.
	"Shadow-Side-Effect": true,
}

// fieldDiffs compares the fields of two headers: those of list, or by default those that are
// not volatile.
func (c *Comparer) fieldDiffs(prefix string, p, s http.Header, list []string, byDefault bool) (diffs []Diff) {
	p, s = canonical(p), canonical(s)
	if byDefault {
		list = differing(p, s)
	}
	for _, name := range list {
		a, b := p[name], s[name]
		if slices.Equal(a, b) || byDefault && volatileFields[name] || sameField(name, a, b, byDefault) {
			continue
		}
		if name == "Set-Cookie" {
			diffs = append(diffs, cookieDiffs(prefix+name+"/", a, b, byDefault)...)
			continue
		}
		d := Diff{Path: prefix + name}
		switch {
		case len(b) == 0:
			d.Kind = missing
		case len(a) == 0:
			d.Kind = extra
		default:
			d.Kind = changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// canonical is h as net/http sends it: each name in its usual spelling, without names that
// are none, and values on one line. It is h itself as a rule.
func canonical(h http.Header) http.Header {
	usual := func(name string, values []string) bool {
		return http.CanonicalHeaderKey(name) == name && fields.IsToken(name) &&
			!slices.ContainsFunc(values, func(v string) bool { return oneLine(v) != v })
	}
	for name, values := range h {
		if !usual(name, values) {
			all := make(http.Header, len(h))
			for _, name := range slices.Sorted(maps.Keys(h)) {
				if key := http.CanonicalHeaderKey(name); fields.IsToken(name) {
					for _, v := range h[name] {
						all[key] = append(all[key], oneLine(v))
					}
				}
			}
			return all
		}
	}
	return h
}

// oneLine is a value of a field as net/http writes it.
func oneLine(v string) string {
	if strings.ContainsAny(v, "\r\n") {
		v = newlines.Replace(v)
	}
	return textproto.TrimString(v)
}

var newlines = strings.NewReplacer("\r", " ", "\n", " ")

// differing are the names of the fields that are not the same in both, in order.
func differing(p, s http.Header) (names []string) {
	for name, values := range p {
		if !slices.Equal(values, s[name]) {
			names = append(names, name)
		}
	}
	for name := range s {
		if _, both := p[name]; !both {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// sameField reports whether two lists of values of a field mean the same.
func sameField(name string, a, b []string, byDefault bool) bool {
	if len(a) == 0 || len(b) == 0 {
		return false
	}
	if name == "Set-Cookie" {
		return false
	}
	if strings.Join(a, ", ") == strings.Join(b, ", ") {
		return true // RFC 9110 section 5.3
	}
	if byDefault && len(a) == 1 && len(b) == 1 {
		switch name {
		case "Etag":
			// Each server makes them in its own way (RFC 9110 section 8.8.3).
			return strings.HasPrefix(a[0], "W/") == strings.HasPrefix(b[0], "W/")
		case "Content-Security-Policy", "Content-Security-Policy-Report-Only":
			return withoutNonces(a[0], "'nonce-", "'") == withoutNonces(b[0], "'nonce-", "'")
		case "Www-Authenticate", "Proxy-Authenticate":
			return withoutNonces(a[0], `nonce="`, `"`) == withoutNonces(b[0], `nonce="`, `"`)
		}
	}
	grammar, known := grammars[name]
	return known && slices.Equal(grammar.values(a), grammar.values(b))
}

// withoutNonces is text without what is between each begin and the next end.
func withoutNonces(text, begin, end string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, begin)
		out.WriteString(before)
		if !found {
			return out.String()
		}
		out.WriteString(begin)
		_, text, _ = strings.Cut(rest, end)
	}
}

// grammar is how the value of a field is read.
type grammar struct {
	separator byte // between the members; 0 where there is one only
	anyCase   bool // the case of members does not matter
	ordered   bool // their order does
	params    bool // a member is name=value, or a value with parameters: see parameters
	links     bool // a member begins with <URI>
	one       func(string) string
}

// grammars are those of the fields whose values can be spelled in several ways.
var grammars = map[string]grammar{
	"Accept-Ch":                     {separator: ',', anyCase: true},
	"Accept-Patch":                  {separator: ',', params: true},
	"Accept-Post":                   {separator: ',', params: true},
	"Accept-Ranges":                 {separator: ',', anyCase: true},
	"Access-Control-Allow-Headers":  {separator: ',', anyCase: true},
	"Access-Control-Allow-Methods":  {separator: ','}, // methods have a case
	"Access-Control-Expose-Headers": {separator: ',', anyCase: true},
	"Access-Control-Max-Age":        {one: number},
	"Allow":                         {separator: ','},
	"Cache-Control":                 {separator: ',', params: true},
	"Cdn-Cache-Control":             {separator: ',', params: true},
	"Clear-Site-Data":               {separator: ','},
	"Content-Disposition":           {one: mediaType},
	"Content-Language":              {separator: ',', anyCase: true, ordered: true},
	"Content-Length":                {one: number},
	"Content-Type":                  {one: mediaType},
	"Date":                          {one: date},
	"Expires":                       {one: date},
	"Keep-Alive":                    {separator: ',', params: true},
	"Last-Modified":                 {one: date},
	"Link":                          {separator: ',', params: true, links: true},
	"Pragma":                        {separator: ',', params: true},
	"Preference-Applied":            {separator: ',', params: true},
	"Retry-After":                   {one: func(v string) string { return date(number(v)) }},
	"Strict-Transport-Security":     {separator: ';', params: true},
	"Surrogate-Control":             {separator: ',', params: true},
	"Timing-Allow-Origin":           {separator: ','},
	"Vary":                          {separator: ',', anyCase: true},
	"X-Content-Type-Options":        {one: strings.ToLower},
	"X-Frame-Options":               {one: strings.ToUpper},
}

// values returns what the values of a field mean, each meaning spelled in one way.
func (g grammar) values(values []string) []string {
	if g.one != nil {
		list := make([]string, len(values))
		for i, v := range values {
			list[i] = g.one(textproto.TrimString(v))
		}
		return list
	}
	var list []string
	for _, v := range values {
		for member := range members(v, g.separator, g.links) {
			switch {
			case g.params:
				member = parameters(member, g.links)
			case g.anyCase:
				member = strings.ToLower(member)
			}
			list = append(list, member)
		}
	}
	if g.ordered {
		return list
	}
	slices.Sort(list)
	return slices.Compact(list) // a set, as HTTP has it
}

// members yields the members of a list: what is between separators that are neither in a
// quoted string nor in the URI of a link (RFC 8288 section 3).
func members(v string, separator byte, links bool) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; ; i++ {
			switch {
			case i >= len(v) || v[i] == separator && !quoted:
				part := textproto.TrimString(v[from:min(i, len(v))])
				if part != "" && !yield(part) || i >= len(v) {
					return
				}
				from = i + 1
			case v[i] == '"':
				quoted = !quoted
			case v[i] == '\\' && quoted:
				i++
			case v[i] == '<' && !quoted && links:
				if uri := strings.IndexByte(v[i:], '>'); uri > 0 {
					i += uri
				} else {
					links = false // there is none in the rest
				}
			}
		}
	}
}

// parameters spells a member with parameters in one way: names in lower case, values without
// quotes they do not need, parameters in the order of their names. The value of private and
// no-cache is a list of names in any case, that of rel and rev a set of relation types.
func parameters(member string, link bool) string {
	var head string
	var list []string
	for part := range members(member, ';', link) {
		name, value, has := strings.Cut(part, "=")
		if part[0] == '<' && link {
			head = part
			continue
		}
		name = strings.ToLower(textproto.TrimString(name))
		if !has {
			list = append(list, name)
			continue
		}
		value = unquoted(textproto.TrimString(value))
		switch name {
		case "rel", "rev":
			types := strings.Fields(strings.ToLower(value))
			slices.Sort(types)
			value = strings.Join(slices.Compact(types), " ")
		case "private", "no-cache":
			value = strings.Join(grammar{separator: ',', anyCase: true, ordered: true}.values([]string{value}), ",")
		case "max-age", "s-maxage":
			value = number(value)
		}
		list = append(list, name+"="+strconv.Quote(value))
	}
	slices.SortStableFunc(list, func(x, y string) int {
		x, _, _ = strings.Cut(x, "=")
		y, _, _ = strings.Cut(y, "=")
		return strings.Compare(x, y)
	})
	return head + ";" + strings.Join(list, ";")
}

// unquoted is the value of a token or quoted string (RFC 9110 section 5.6.4).
func unquoted(v string) string {
	if len(v) < 2 || v[0] != '"' || v[len(v)-1] != '"' {
		return v
	}
	v = v[1 : len(v)-1]
	if strings.IndexByte(v, '\\') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		if v[i] == '\\' && i+1 < len(v) {
			i++
		}
		out = append(out, v[i])
	}
	return string(out)
}

// number is a whole number without leading zeros; anything else is itself.
func number(v string) string {
	if v != "" && strings.Trim(v, "0123456789") == "" {
		if v = strings.TrimLeft(v, "0"); v == "" {
			return "0"
		}
	}
	return v
}

// date is an HTTP-date in any of its forms (RFC 9110 section 5.6.7); anything else is itself.
func date(v string) string {
	if t, err := http.ParseTime(v); err == nil {
		return t.UTC().Format(time.RFC3339)
	}
	return v
}

// mediaType spells a media type, or a disposition, in one way. The boundary of a multipart
// type is made anew for each message.
func mediaType(v string) string {
	name, params, err := mime.ParseMediaType(v)
	if err != nil {
		return v
	}
	if strings.HasPrefix(name, "multipart/") {
		delete(params, "boundary")
	}
	if charset, ok := params["charset"]; ok {
		params["charset"] = strings.ToLower(charset)
	}
	for _, key := range slices.Sorted(maps.Keys(params)) {
		name += ";" + key + "=" + strconv.Quote(params[key])
	}
	return name
}

// cookieDiffs compares the cookies that two answers set: their attributes, and their values
// unless byDefault is set. A cookie that is emptied differs from one that is not.
func cookieDiffs(prefix string, p, s []string, byDefault bool) (diffs []Diff) {
	now := time.Now()
	a, b := cookies(p, now, byDefault), cookies(s, now, byDefault)
	for _, name := range slices.Sorted(maps.Keys(union(a, b))) {
		x, inA := a[name]
		y, inB := b[name]
		d := Diff{Path: prefix + pointer.Escape(name)}
		switch {
		case maps.Equal(x, y):
			continue
		case !inB:
			d.Kind = missing
		case !inA:
			d.Kind = extra
		default:
			d.Kind = changed
		}
		diffs = append(diffs, d)
	}
	return diffs
}

// scope distinguishes cookies of one name (RFC 6265 section 5.3, step 11).
type scope struct{ domain, path string }

// cookies are the cookies that are set, by name: their values and attributes. Of several
// with one name and scope the last counts, as it does for a browser. A date counts as past
// or future.
func cookies(lines []string, now time.Time, withoutValues bool) map[string]map[scope]string {
	set := map[string]map[scope]string{}
	for _, line := range lines {
		pair, attributes, _ := strings.Cut(line, ";")
		name, value, _ := strings.Cut(pair, "=")
		name, value = textproto.TrimString(name), textproto.TrimString(value)
		if withoutValues && value != "" {
			value = "…"
		}
		at := scope{}
		list := []string{value}
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
			case "secure", "httponly", "partitioned":
				v = "" // RFC 6265 sections 5.2.5 and 5.2.6: whatever it is
			case "path":
				at.path = v
			case "max-age":
				v = number(v)
			case "expires":
				if t, ok := cookieDate(v); ok {
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

// cookieDate reads a date as browsers do (RFC 6265 section 5.1.1).
func cookieDate(v string) (at time.Time, ok bool) {
	const none = -1
	hour, minute, second, day, month, year := none, none, none, none, none, none
	for token := range strings.FieldsFuncSeq(v, func(c rune) bool {
		return c == '\t' || c >= 0x20 && c <= 0x2f || c >= 0x3b && c <= 0x40 || c >= 0x5b && c <= 0x60 || c >= 0x7b && c <= 0x7e
	}) {
		digits := len(token) - len(strings.TrimLeft(token, "0123456789"))
		n, _ := strconv.Atoi(token[:min(digits, 4)])
		h, m, s := clock(token)
		switch {
		case hour == none && h >= 0:
			hour, minute, second = h, m, s
		case day == none && (digits == 1 || digits == 2):
			day = n
		case month == none && len(token) >= 3 && monthOf(token) > 0:
			month = monthOf(token)
		case year == none && (digits == 2 || digits == 4):
			year = n
		}
	}
	switch {
	case 70 <= year && year <= 99:
		year += 1900
	case 0 <= year && year <= 69:
		year += 2000
	}
	if hour < 0 || hour > 23 || minute > 59 || second > 59 || day < 1 || day > 31 || month < 1 || year < 1601 {
		return at, false
	}
	at = time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	return at, at.Day() == day
}

// clock reads hh:mm:ss, each of one or two digits; h is negative where token is none.
func clock(token string) (h, m, s int) {
	var parts [3]int
	for i := range parts {
		digits := len(token) - len(strings.TrimLeft(token, "0123456789"))
		if digits < 1 || digits > 2 || i < 2 && (len(token) == digits || token[digits] != ':') {
			return -1, 0, 0
		}
		parts[i], _ = strconv.Atoi(token[:digits])
		if i < 2 {
			token = token[digits+1:]
		}
	}
	return parts[0], parts[1], parts[2]
}

// monthOf is the month whose name a token begins with; 0 is none.
func monthOf(token string) int {
	i := strings.Index("janfebmaraprmayjunjulaugsepoctnovdec", strings.ToLower(token[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return i/3 + 1
}

func union[K comparable, V any](a, b map[K]V) map[K]V {
	all := make(map[K]V, len(a)+len(b))
	maps.Copy(all, a)
	maps.Copy(all, b)
	return all
}
