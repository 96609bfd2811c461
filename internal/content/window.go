package content

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
)

// A decoder allocates the window that the data announces, however little data there is.
// As long as the output is not larger than the window, any window means the same: so one
// that is larger than the output may become is announced smaller.

// brotliWindow returns the stream r with a window of not much more than limit bytes
// (RFC 7932 section 9.1: WBITS).
func brotliWindow(r io.Reader, limit int64) (io.Reader, error) {
	var head [1]byte
	switch _, err := io.ReadFull(r, head[:]); {
	case err == io.EOF:
		return bytes.NewReader(nil), nil
	case err != nil:
		return nil, err
	}
	const slack = 16 // a window of n bits reaches back 1<<n - 16 bytes
	least := windowBits(limit, slack, 18)
	if n := head[0] >> 1 & 7; head[0]&1 == 1 && n != 0 && 17+int(n) > least {
		head[0] = head[0]&^(7<<1) | byte(least-17)<<1
	}
	return io.MultiReader(bytes.NewReader(head[:]), r), nil
}

// windowBits is the least n, but not under least, for which limit and slack bytes are not
// more than 1<<n.
func windowBits(limit, slack int64, least int) int {
	if limit > 1<<40 {
		return 40
	}
	return max(bits.Len64(uint64(limit+slack)), least)
}

// maxZstdWindow is the largest window of zstd that is decoded (RFC 9659).
const maxZstdWindow = 8 << 20

// maxZstdBlock is the largest block of zstd (RFC 8878 section 3.1.1.2.4).
const maxZstdBlock = 128 << 10

// zstdWindow returns the frames of r with windows of not much more than limit bytes (RFC
// 8878 section 3.1.1.1). It reads r to its end. Windows that are not decoded stay as they are.
func zstdWindow(r io.Reader, limit int64) (io.Reader, error) {
	data, failed := io.ReadAll(r)
	log := windowBits(limit, maxZstdBlock, 18)
	if log < 23 {
		shrinkFrames(data, byte(log-10)<<3, uint64(1)<<log)
	}
	var end io.Reader = bytes.NewReader(nil)
	if failed != nil {
		end = failing{failed}
	}
	return io.MultiReader(bytes.NewReader(data), end), nil
}

// failing is a reader that fails.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// shrinkFrames changes in data the headers of zstd frames: a window descriptor that is
// larger becomes descriptor, and so does, where the frame is a single segment, a content
// size that is larger become size, which the caller does not read to its end.
func shrinkFrames(data []byte, descriptor byte, size uint64) {
	const (
		magic, skippable      = 0xfd2fb528, 0x184d2a50
		single, checksum      = 1 << 5, 1 << 2
		largest          byte = (23 - 10) << 3
	)
	for len(data) >= 8 {
		if m := binary.LittleEndian.Uint32(data); m&^0xf == skippable {
			n := 8 + uint64(binary.LittleEndian.Uint32(data[4:]))
			data = data[min(n, uint64(len(data))):]
			continue
		} else if m != magic {
			return
		}
		flags := data[4]
		data = data[5:]
		if flags&single == 0 {
			if data[0] > descriptor && data[0] <= largest {
				data[0] = descriptor
			}
			data = data[1:]
		}
		data = data[min([...]int{0, 1, 2, 4}[flags&3], len(data)):]
		width := [...]int{0, 2, 4, 8}[flags>>6]
		if width == 0 && flags&single != 0 {
			width = 1
		}
		if len(data) < width {
			return
		}
		if field := data[:width]; flags&single != 0 && width >= 4 {
			var wide [8]byte
			copy(wide[:], field)
			if n := binary.LittleEndian.Uint64(wide[:]); n > size && n <= maxZstdWindow {
				binary.LittleEndian.PutUint64(wide[:], size)
				copy(field, wide[:])
			}
		}
		data = data[width:]
		for last := false; !last; {
			if len(data) < 3 {
				return
			}
			head := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16
			n := int(head >> 3)
			if head>>1&3 == 1 { // a byte that is repeated
				n = 1
			}
			if data = data[3:]; len(data) < n {
				return
			}
			data, last = data[n:], head&1 == 1
		}
		if flags&checksum != 0 {
			data = data[min(4, len(data)):]
		}
	}
}
