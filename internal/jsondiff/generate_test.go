package jsondiff

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// generator makes documents at random, with small alphabets so that names and
// values collide often.
type generator struct {
	*rand.Rand
	out strings.Builder
}

// term is a generated value that can be rendered in many ways.
type term struct {
	kind     byte
	n        int // a number in hundredths
	text     string
	names    []string
	children []*term
}

var (
	someNames   = []string{"a", "b", "id", "", "a/b", "~", "é", "n\n", "list", "price"}
	someStrings = []string{"", "a", "A", "1", "é", "😀", "x\ty", "long enough to be scanned in words", `"\`, "2024-01-02T03:04:05Z"}
)

func (g *generator) term(depth int) *term {
	t := &term{}
	n := g.IntN(10)
	if depth == 0 {
		n = 4 + n%6
	}
	switch n {
	case 0, 1:
		t.kind = '{'
		for range g.IntN(5) {
			t.names = append(t.names, someNames[g.IntN(len(someNames))])
			t.children = append(t.children, g.term(depth-1))
		}
		if g.IntN(20) == 0 {
			for i := range 30 {
				t.names = append(t.names, "m"+strconv.Itoa(i))
				t.children = append(t.children, g.term(0))
			}
		}
	case 2, 3:
		t.kind = '['
		for range g.IntN(6) {
			t.children = append(t.children, g.term(depth-1))
		}
	case 4, 5, 6:
		t.kind, t.n = '0', []int{0, 100, 200, 150, -100, 1000, 2000000001}[g.IntN(7)]
	case 7, 8:
		t.kind, t.text = '"', someStrings[g.IntN(len(someStrings))]
	case 9:
		t.kind = "tfn"[g.IntN(3)]
	}
	return t
}

// mutate changes one thing somewhere below t.
func (g *generator) mutate(t *term) {
	if n := len(t.children); n > 0 {
		i := g.IntN(n)
		switch g.IntN(6) {
		case 0:
			t.children = append(t.children[:i:i], t.children[i+1:]...)
			if t.kind == '{' {
				t.names = append(t.names[:i:i], t.names[i+1:]...)
			}
		case 1:
			t.children = append(t.children[:i:i], append([]*term{g.term(1)}, t.children[i:]...)...)
			if t.kind == '{' {
				t.names = append(t.names[:i:i], append([]string{someNames[g.IntN(len(someNames))]}, t.names[i:]...)...)
			}
		case 2:
			if t.kind == '[' {
				g.Shuffle(n, func(i, j int) { t.children[i], t.children[j] = t.children[j], t.children[i] })
				return
			}
			t.names[i] = someNames[g.IntN(len(someNames))]
		default:
			g.mutate(t.children[i])
		}
		return
	}
	*t = *g.term(2)
}

func (t *term) clone() *term {
	c := *t
	c.names = append([]string(nil), t.names...)
	c.children = nil
	for _, child := range t.children {
		c.children = append(c.children, child.clone())
	}
	return &c
}

// render spells a term as one document of many that mean the same.
func (g *generator) render(t *term) []byte {
	g.out.Reset()
	g.space()
	g.write(t)
	g.space()
	return []byte(g.out.String())
}

// plain spells a term in one way only.
func (g *generator) plain(t *term) []byte {
	h := generator{Rand: rand.New(constant{})}
	return h.render(t)
}

// constant is a source under which a generator makes no choices.
type constant struct{}

func (constant) Uint64() uint64 { return 1<<63 - 1 }

func (g *generator) space() {
	for g.IntN(8) == 0 {
		g.out.WriteString([]string{" ", "\n", "\t", "\r\n", "\n        "}[g.IntN(5)])
	}
}

func (g *generator) write(t *term) {
	switch t.kind {
	case '0':
		g.number(t.n)
	case '"':
		g.string(t.text)
	case 't':
		g.out.WriteString("true")
	case 'f':
		g.out.WriteString("false")
	case 'n':
		g.out.WriteString("null")
	default:
		order := make([]int, len(t.children))
		for i := range order {
			order[i] = i
		}
		if t.kind == '{' && g.IntN(4) == 0 {
			order = g.order(t.names)
		}
		g.out.WriteByte(t.kind)
		g.space()
		for k, i := range order {
			if k > 0 {
				g.out.WriteByte(',')
				g.space()
			}
			if t.kind == '{' {
				g.string(t.names[i])
				g.space()
				g.out.WriteByte(':')
				g.space()
			}
			g.write(t.children[i])
			g.space()
		}
		g.out.WriteByte(t.kind + 2)
	}
}

// order returns the members in another order that keeps those of one name in
// theirs.
func (g *generator) order(names []string) []int {
	shuffled := g.Perm(len(names))
	places := map[string][]int{}
	for i, name := range names {
		places[name] = append(places[name], i)
	}
	for k, i := range shuffled {
		name := names[i]
		shuffled[k] = places[name][0]
		places[name] = places[name][1:]
	}
	return shuffled
}

func (g *generator) number(n int) {
	whole, cents, sign := n/100, n%100, ""
	if n < 0 {
		whole, cents, sign = -whole, -cents, "-"
	}
	if n == 0 && g.IntN(8) == 0 {
		sign = "-"
	}
	switch g.IntN(8) {
	case 0:
		fmt.Fprintf(&g.out, "%s%d.%02d00", sign, whole, cents)
	case 1:
		fmt.Fprintf(&g.out, "%s%d%02de-2", sign, whole, cents)
		if s := g.out.String(); whole == 0 && strings.HasSuffix(s, "0"+fmt.Sprintf("%02de-2", cents)) {
			g.out.Reset() // 000e-2 has leading zeros
			g.out.WriteString(strings.TrimSuffix(s, fmt.Sprintf("%02de-2", cents)) + fmt.Sprintf(".%02d", cents))
		}
	case 2:
		fmt.Fprintf(&g.out, "%s%d.%02dE+0", sign, whole, cents)
	default:
		if cents == 0 {
			fmt.Fprintf(&g.out, "%s%d", sign, whole)
		} else {
			fmt.Fprintf(&g.out, "%s%d.%02d", sign, whole, cents)
		}
	}
}

func (g *generator) string(s string) {
	g.out.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			g.out.WriteByte('\\')
			g.out.WriteRune(r)
		case r < ' ' || g.IntN(12) == 0:
			if r > 0xFFFF {
				r -= 0x10000
				fmt.Fprintf(&g.out, `\u%04x\u%04X`, 0xD800+r>>10, 0xDC00+r&0x3FF)
			} else {
				fmt.Fprintf(&g.out, `\u%04x`, r)
			}
		default:
			g.out.WriteRune(r)
		}
	}
	g.out.WriteByte('"')
}
