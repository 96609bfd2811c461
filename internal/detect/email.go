package detect

// Limits of RFC 5321 section 4.5.3.1.
const (
	maxLocal  = 64
	maxDomain = 255
	maxLabel  = 63
)

// email looks at the address around the '@' at i and returns where to go on. It takes the
// local parts that are given out (letters, digits and ._%+-' and what is not ASCII), not the
// quoted ones and signs that RFC 5322 allows as well: next to them stand "name=" and
// "{value}". What an earlier finding has of the address becomes part of it.
func (s *scanner) email(i int) int {
	start := i
	for start > 0 && isLocal[s.text[start-1]] && i-start <= maxLocal {
		start--
	}
	for start < i && !isWord(s.text[start]) && s.text[start] < 0x80 && s.text[start] != '_' && s.text[start] != '+' {
		start++
	}
	if start == i || i-start > maxLocal || s.text[i-1] == '.' {
		return i + 1
	}
	end := domain(s.text, i+1)
	if end < 0 || string(s.text[start:i]) == "git" && end < len(s.text) && s.text[end] == ':' { // git@host:path
		return i + 1
	}
	for n := len(s.found); n > s.earlier && s.found[n-1].End > start; n-- {
		start = min(start, s.found[n-1].Start)
		s.found = s.found[:n-1]
	}
	return s.add(Email, start, end)
}

// domain returns where the domain name that starts at i ends, or -1: two labels at
// least, the last of them letters (or an A-label, RFC 5890), and not a version number or
// the name of a file, as in "lib@v1.2.3" and "icon@2x.png".
func domain(text []byte, i int) int {
	end := -1
	first, label := i, i
	for at := i; at-i <= maxDomain; at++ {
		if at < len(text) && isDomain[text[at]] {
			continue
		}
		if at == label || at-label > maxLabel || text[label] == '-' || text[at-1] == '-' {
			break
		}
		if label > first && isTop(text[label:at]) {
			end = at
		}
		if at == len(text) || text[at] != '.' {
			if end != at {
				end = -1
			}
			break
		}
		label = at + 1
	}
	if end < 0 || isVersion(text[first:end]) {
		return -1
	}
	return end
}

// isTop tells whether label may be a top-level domain.
func isTop(label []byte) bool {
	if len(label) > 4 && hasPrefix(label, "xn--") {
		return true
	}
	for _, c := range label {
		if c < 0x80 && !isWord(c) || isDigit(c) {
			return false
		}
	}
	switch string(label) {
	case "png", "jpg", "jpeg", "gif", "webp", "svg", "css", "js", "mjs", "ts", "json", "html", "tgz":
		return false
	}
	return len(label) > 1
}

// isVersion tells whether a domain begins as v1.2 does.
func isVersion(domain []byte) bool {
	return len(domain) > 3 && domain[0] == 'v' && isDigit(domain[1]) && domain[2] == '.' && isDigit(domain[3])
}

var isLocal, isDomain = func() (local, domain [256]bool) {
	for c := range 256 {
		word := isWord(byte(c)) || c >= 0x80
		local[c], domain[c] = word, word || c == '-'
	}
	for _, c := range "._%+-'" {
		local[c] = true
	}
	return local, domain
}()
