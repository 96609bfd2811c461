package bodies

import (
	"hash/maphash"
	"slices"
	"unicode/utf8"

	"github.com/goshadow/shadow/internal/media"
	"github.com/goshadow/shadow/internal/pointer"
)

// kind is what a node is.
type kind uint8

// Leaves: how their text is written in the body.
const (
	opaque         kind = iota // bytes
	plain                      // as it is
	escaped                    // percent-encoded, see form.go
	markup                     // with references and sections, see xml.go
	markupInQuotes             // the value of an attribute
	fileName                   // in a Content-Disposition, see multipart.go
	jsonText                   // a JSON text, as it is
	dataText                   // on lines of an event, see events.go; JSON where both sides are

	// Containers.
	list    // elements in order
	rows    // a list of plain lines, whose differences are reported by the run
	fields  // children in groups of one name; the groups in any order
	element // children in groups of one name, all of them in order
)

// node is a leaf or a container, in 32 bytes.
type node struct {
	hash       uint64 // the same for equal nodes of one kind, unless JSON is written in another way
	start, end int32  // in doc: the value, without its name
	next       int32  // the node after this one and what is in it
	name       int32  // see names
	kind       kind
	soft       bool // there is JSON in it: equal values may have different hashes
}

// tape is a body as a tree: a container is followed by what it contains.
type tape struct {
	set   *Set
	doc   []byte
	names *names
	seed  maphash.Seed
	nodes []node
}

// So many nodes are read, and one more for so many bytes: to read and to match a node takes
// as long as hundreds of bytes of ordinary JSON, and as much memory as a hundred.
const maxNodes, bytesPerNode = 1 << 13, 5

// room reports whether the tape is not too long for its document. Readers stop where it is;
// what they have read is of no use then.
func (t *tape) room() bool { return len(t.nodes) <= maxNodes+len(t.doc)/bytesPerNode }

// grow makes room for a node: for all that will come, if they come as densely as so far.
func (t *tape) grow(at int) {
	n := len(t.nodes)
	if n < cap(t.nodes) {
		return
	}
	more := n/4 + 16
	if at > 0 {
		more = max(more, int(int64(n)*int64(len(t.doc)-at)/int64(at)))
	}
	t.nodes = slices.Grow(t.nodes, min(more, max(16, maxNodes+len(t.doc)/bytesPerNode-n)))
}

// leaf adds a leaf whose decoded text is given.
func (t *tape) leaf(name int32, k kind, start, end int, text []byte) {
	t.grow(start)
	t.nodes = append(t.nodes, node{
		hash: maphash.Bytes(t.seed, text), start: int32(start), end: int32(end), next: int32(len(t.nodes)) + 1,
		name: name, kind: k, soft: k == jsonText || k == dataText,
	})
}

// open adds a container. What is added until close is in it.
func (t *tape) open(name int32, k kind, start int) (n int32) {
	t.grow(start)
	t.nodes = append(t.nodes, node{start: int32(start), name: name, kind: k})
	return int32(len(t.nodes)) - 1
}

// close ends container n.
func (t *tape) close(n int32, end int) {
	c := &t.nodes[n]
	c.end, c.next = int32(end), int32(len(t.nodes))
	if !t.room() { // there may be nodes in it that are not closed
		return
	}
	for k := n + 1; k < c.next; k = t.nodes[k].next {
		child := &t.nodes[k]
		c.hash = maphash.Comparable(t.seed, [3]uint64{c.hash, uint64(child.name), child.hash})
		c.soft = c.soft || child.soft && child.kind < list
	}
}

// children lists the nodes in container n.
func (t *tape) children(n int32) []int32 {
	count := 0
	for k := n + 1; k < t.nodes[n].next; k = t.nodes[k].next {
		count++
	}
	nodes := make([]int32, 0, count)
	for k := n + 1; k < t.nodes[n].next; k = t.nodes[k].next {
		nodes = append(nodes, k)
	}
	return nodes
}

// maxTraits is how many pairs of words of a node are weighed.
const maxTraits = 32

// traits returns the hashes of the first pairs of neighbouring words of node n, such as
// a name and its value, in ascending order.
func (t *tape) traits(n int32) []uint64 {
	traits := make([]uint64, 0, maxTraits)
	var before uint64
	rest := t.raw(n)
	rest = rest[:min(len(rest), maxTraits*maxTraits)]
	for len(rest) > 0 && len(traits) < maxTraits {
		word := 0
		for word < len(rest) && isWord(rest[word]) {
			word++
		}
		if word > 0 {
			h := maphash.Bytes(t.seed, rest[:word])
			traits = append(traits, maphash.Comparable(t.seed, [2]uint64{before, h}))
			before = h
		}
		rest = rest[min(word+1, len(rest)):]
	}
	slices.Sort(traits)
	return traits
}

func isWord(c byte) bool {
	return c-'0' <= 9 || c|0x20-'a' < 26 || c >= utf8.RuneSelf || c == '.' || c == '-' || c == '_'
}

// raw returns the bytes of node n.
func (t *tape) raw(n int32) []byte { return t.doc[t.nodes[n].start:t.nodes[n].end] }

// decoded returns the text of node n; that of a container is as it is written.
func (t *tape) decoded(n int32) []byte {
	raw := t.raw(n)
	switch t.nodes[n].kind {
	case escaped:
		return media.Unescape(nil, raw)
	case markup:
		return characters(raw)
	case markupInQuotes:
		return attributeText(raw)
	case fileName:
		return []byte(fileNameOf(raw))
	case dataText:
		return dataOf(raw)
	}
	return raw
}

// names numbers the names of nodes, for both tapes of a comparison.
type names struct {
	ids    map[string]int32
	tokens []string // of a JSON Pointer
}

// self is the name of a node without a name: its path is that of its container.
const self int32 = 0

func newNames() *names { return &names{ids: map[string]int32{}, tokens: []string{""}} }

// id returns the number of the name that key tells from others. It is shown as the
// first spelling given.
func (n *names) id(key, spelling []byte) int32 {
	if id, ok := n.ids[string(key)]; ok {
		return id
	}
	return n.add(string(key), string(spelling))
}

// text returns the number of a name that is its own key.
func (n *names) text(name string) int32 {
	if id, ok := n.ids[name]; ok {
		return id
	}
	return n.add(name, name)
}

func (n *names) add(key, spelling string) int32 {
	id := int32(len(n.tokens))
	n.ids[key] = id
	n.tokens = append(n.tokens, string(pointer.AppendToken(nil, []byte(spelling))))
	return id
}
