package detect

import "bytes"

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
	for start > 0 && isLocal[s.text[start-1]] && i-start < maxLocal {
		start--
	}
	for start < i && !isWord(s.text[start]) && s.text[start] < 0x80 && s.text[start] != '_' && s.text[start] != '+' {
		start++
	}
	if start == i {
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

// domain returns where the longest domain name that starts at i ends, or -1: two labels at
// least, the last of them letters (or an A-label, RFC 5890), and not a version number or
// the name of a file, as in "lib@v1.2.3" and "icon@2x.png". What follows the last label that
// may be a top-level domain, such as "-->" or ".1", is not a part of it.
func domain(text []byte, i int) int {
	end := -1
	label := i
	for at := i; at-i <= maxDomain; at++ {
		if at < len(text) && isDomain[text[at]] {
			continue
		}
		if at == label || at-label > maxLabel || text[label] == '-' {
			break
		}
		if label > i {
			if top := topEnd(text[label:at]); top > 0 {
				end = label + top
			}
		}
		if at == len(text) || text[at] != '.' || text[at-1] == '-' {
			break
		}
		label = at + 1
	}
	if end < 0 || isVersion(text[i:end]) || isFile(text[i:end]) {
		return -1
	}
	return end
}

// topEnd returns where the top-level domain that label begins with ends, or 0.
func topEnd(label []byte) int {
	if len(label) > 4 && hasPrefix(label, "xn--") {
		return len(bytes.TrimRight(label, "-"))
	}
	n := 0
	for n < len(label) && (label[n] >= 0x80 || isWord(label[n]) && !isDigit(label[n])) {
		n++
	}
	if n < 2 || n < len(label) && label[n] != '-' {
		return 0
	}
	return n
}

// isFile reports whether a domain ends as the name of a file does.
func isFile(domain []byte) bool {
	switch string(domain[bytes.LastIndexByte(domain, '.')+1:]) {
	case "png", "jpg", "jpeg", "gif", "webp", "svg", "css", "js", "mjs", "ts", "json", "html", "tgz":
		return true
	}
	return false
}

// isVersion reports whether a domain begins as v1.2 does.
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
