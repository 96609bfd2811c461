// Package capture records HTTP messages while somebody else streams them: the
// body a handler reads, the response it writes. A recording never delays, changes
// or outlives the stream it watches, and all recordings of one Pool together hold
// at most the bytes that the Pool allows.
package capture

import (
	"hash/maphash"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// sizes of the chunks that recordings are made of, ascending.
var sizes = [...]int{2 << 10, 16 << 10, 128 << 10}

// Pool is the memory that recordings live in. It caps the bytes they hold together
// and recycles their chunks, which never leave this package. It is safe for
// concurrent use.
type Pool struct {
	max  int64
	held atomic.Int64
	free [len(sizes)]sync.Pool
	seed maphash.Seed
}

// NewPool returns a Pool whose recordings hold at most limit bytes at any time.
func NewPool(limit int64) *Pool {
	return &Pool{max: limit, seed: maphash.MakeSeed()}
}

// Held is the number of bytes that are reserved now.
func (p *Pool) Held() int64 { return p.held.Load() }

// Room is the number of bytes that could be reserved now.
func (p *Pool) Room() int64 { return p.max - p.held.Load() }

// Sum hashes b as Buffer.Sum hashes a stream of the same bytes.
func (p *Pool) Sum(b []byte) uint64 { return maphash.Bytes(p.seed, b) }

// Reserve takes n bytes of what the Pool allows, for what is kept elsewhere. It returns
// false, and takes nothing, where there are not as many.
func (p *Pool) Reserve(n int64) bool { return p.reserve(n, 0) }

// Release gives back n bytes that were reserved.
func (p *Pool) Release(n int64) { p.held.Add(-n) }

// small is how much a recording whose end is not known may hold to have a share in the last
// eighth of its Pool. So event streams, which go on for hours, leave room for all others.
const small = 64 << 10

// reserve reserves n more bytes for a recording. Own is how many it holds already, if its
// end is not known, else 0.
func (p *Pool) reserve(n int64, own int64) bool {
	for {
		held := p.held.Load()
		limit := p.max
		if own >= small && held > own { // and it is not alone
			limit -= p.max / 8
		}
		if held > limit-n {
			return false
		}
		if p.held.CompareAndSwap(held, held+n) {
			return true
		}
	}
}

type chunk struct {
	next  *chunk
	class int
	data  []byte // len: used, cap: the class's size
}

// chunk returns an empty chunk: the largest that want bytes fill, else the smallest.
// It returns nil where the Pool has no more bytes to give: see reserve.
func (p *Pool) chunk(want, own int64) *chunk {
	class := 0
	for class+1 < len(sizes) && int64(sizes[class+1]) <= want {
		class++
	}
	if !p.reserve(int64(sizes[class]), own) {
		return nil
	}
	if c, _ := p.free[class].Get().(*chunk); c != nil {
		return c
	}
	return &chunk{class: class, data: make([]byte, 0, sizes[class])}
}

func (p *Pool) recycle(c *chunk) {
	for c != nil {
		next := c.next
		c.next, c.data = nil, c.data[:0]
		p.free[c.class].Put(c)
		c = next
	}
}

// Buffer records a stream: its bytes as long as all of them are within the limit and the
// Pool has room, and always its length. Past that it gives its bytes back to the Pool at
// once and goes on with a hash of the whole stream. The zero value is empty; only Init makes
// it ready for more. A Buffer is not safe for concurrent use.
type Buffer struct {
	pool        *Pool
	limit       int64
	first, last *chunk
	size        int64
	kept        int64
	reserved    int64
	hash        *maphash.Hash // of all bytes, once past the limit
	sum         *uint64       // in its place: see Resume
	reader      *Reader
	cut         bool // no bytes are kept
	starved     bool // the Pool had no room
}

// Nothing is the limit of a recording that only counts: no byte is kept or hashed.
const Nothing = -1

// Init makes b an empty recording of at most limit bytes.
func (b *Buffer) Init(p *Pool, limit int64) { *b = Buffer{pool: p, limit: limit} }

// Limit lowers the number of bytes kept. It is called before anything is recorded.
func (b *Buffer) Limit(n int64) { b.limit = min(b.limit, n) }

// Drop gives the bytes back to the Pool and goes on counting only: nobody will want the
// recording.
func (b *Buffer) Drop() {
	b.limit, b.cut, b.hash = Nothing, true, nil
	b.empty()
}

// Write records p. More is how many bytes are known to follow, negative if unknown.
func (b *Buffer) Write(p []byte, more int64) {
	if b.limit == Nothing {
		b.Skip(int64(len(p)))
		return
	}
	b.size += int64(len(p))
	if !b.cut {
		p = b.keep(p, more)
		if len(p) == 0 {
			return
		}
		b.overflow()
	}
	if b.hash != nil {
		b.hash.Write(p)
	}
}

// keep records what fits of p and returns the rest.
func (b *Buffer) keep(p []byte, more int64) []byte {
	for len(p) > 0 && b.kept < b.limit {
		c := b.last
		if c == nil || len(c.data) == cap(c.data) {
			want := int64(len(p)) + max(more, b.kept)
			own := b.reserved
			if more >= 0 {
				own = 0 // its end is known
			}
			if c = b.pool.chunk(min(want, b.limit-b.kept), own); c == nil {
				b.starved = true
				return p
			}
			b.reserved += int64(cap(c.data))
			if b.last == nil {
				b.first = c
			} else {
				b.last.next = c
			}
			b.last = c
		}
		n := int(min(int64(min(len(p), cap(c.data)-len(c.data))), b.limit-b.kept))
		c.data = append(c.data, p[:n]...)
		b.kept += int64(n)
		p = p[n:]
	}
	return p
}

// overflow starts the hash with the bytes kept and gives them back.
func (b *Buffer) overflow() {
	b.cut = true
	b.hash = new(maphash.Hash)
	b.hash.SetSeed(b.pool.seed)
	for c := b.first; c != nil; c = c.next {
		b.hash.Write(c.data)
	}
	b.empty()
}

// empty gives the bytes kept back to the Pool.
func (b *Buffer) empty() {
	if b.pool == nil {
		return
	}
	b.pool.recycle(b.first)
	b.pool.Release(b.reserved)
	b.first, b.last, b.kept, b.reserved = nil, nil, 0, 0
}

// Read records r, of which length bytes are announced (-1: unknown), to its end, or
// until more than most bytes have come, which may change meanwhile: then the rest is not
// read. It returns r's error, nil at its end.
func (b *Buffer) Read(r io.Reader, length int64, most *atomic.Int64) error {
	c, _ := b.pool.free[readClass].Get().(*chunk)
	if c == nil {
		c = &chunk{class: readClass, data: make([]byte, 0, sizes[readClass])}
	}
	defer b.pool.recycle(c)
	part := c.data[:cap(c.data)]
	for b.size <= most.Load() {
		n, err := r.Read(part)
		b.Write(part[:n], length-b.size-int64(n))
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readClass is the chunk that Read reads through. It is not reserved: there is one
// for each goroutine that reads.
const readClass = 1

// Skip records that n bytes went by unseen: from here on there is no hash either.
func (b *Buffer) Skip(n int64) {
	if n > 0 {
		b.size += n
		b.cut, b.hash = true, nil
		b.empty()
	}
}

// Size is the number of bytes that went by.
func (b *Buffer) Size() int64 { return b.size }

// Cut reports whether bytes went by that are not kept. None is kept then.
func (b *Buffer) Cut() bool { return b.cut }

// Starved reports whether the Pool had no room, for the bytes or for what Reserve asked.
func (b *Buffer) Starved() bool { return b.starved }

// Sum is the hash of all bytes that went by; ok is false while Cut is, and where
// bytes went by unseen.
func (b *Buffer) Sum() (sum uint64, ok bool) {
	switch {
	case b.sum != nil:
		return *b.sum, true
	case b.hash == nil:
		return 0, false
	}
	return b.hash.Sum64(), true
}

// Resume makes b what from is without its bytes: the recording of the whole stream of which
// b got a part.
func (b *Buffer) Resume(from *Buffer) {
	b.empty()
	b.size, b.cut, b.hash, b.starved = from.size, true, nil, from.starved
	if sum, ok := from.Sum(); ok {
		b.sum = &sum
	}
}

// Bytes moves the recorded bytes into one slice, which the caller owns. They count
// against the Pool until Release.
func (b *Buffer) Bytes() []byte {
	if b.kept == 0 {
		return nil
	}
	out := make([]byte, 0, b.kept)
	for c := b.first; c != nil; c = c.next {
		out = append(out, c.data...)
	}
	b.pool.recycle(b.first)
	b.first, b.last, b.kept = nil, nil, 0
	return out
}

// Reserve takes n more bytes of the Pool, until Release, for what is made of the recording.
// Where the Pool has not as many it returns false, and b is starved. The zero value has no
// Pool, and room for nothing.
func (b *Buffer) Reserve(n int64) bool {
	if b.pool == nil {
		return n == 0
	}
	if !b.pool.Reserve(n) {
		b.starved = true
		return false
	}
	b.reserved += n
	return true
}

// Reader returns a reader of the recorded bytes, which it does not move: after Release it
// has none any more. There is one Reader of a Buffer, and it is safe for use by those who
// do not know of Release.
func (b *Buffer) Reader() *Reader {
	b.reader = &Reader{next: b.first}
	return b.reader
}

// Release gives everything back to the Pool. The zero value may be released.
func (b *Buffer) Release() {
	if b.pool == nil {
		return
	}
	if b.reader != nil {
		b.reader.Close() //nolint:errcheck // never fails
	}
	b.empty()
	*b = Buffer{}
}

// Reader reads what a Buffer recorded.
type Reader struct {
	mu   sync.Mutex
	next *chunk
	at   int // in next
	over bool
}

// Read copies from the recording. Once the Reader is closed, or the Buffer released, it
// fails with http.ErrBodyReadAfterClose.
func (r *Reader) Read(p []byte) (n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return 0, http.ErrBodyReadAfterClose
	}
	for n < len(p) && r.next != nil {
		k := copy(p[n:], r.next.data[r.at:])
		n, r.at = n+k, r.at+k
		if r.at == len(r.next.data) {
			r.next, r.at = r.next.next, 0
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// Close lets go of the recording.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.over = nil, true
	return nil
}
