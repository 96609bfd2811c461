package file

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// ErrTorn is the error of a record that was not written to its end: the process died, or
// the disk was full. There is one at most in a segment, its last.
var ErrTorn = errors.New("file: the record was not written to its end")

// maxLine is how long a record may be, in bytes.
const maxLine = 64 << 20

// Read yields the records of the segments in dir whose names begin with name, which is
// "results" if empty, oldest first. What cannot be read is yielded as an error that names
// segment and line, and the next record after it: nothing is hidden by what stands before
// it. Stop at the first error or go on, as it suits. A segment that is removed meanwhile
// ends where it is, and of one that is being written what is there so far is read.
//
//	for record, err := range file.Read(os.DirFS("/var/lib/orders/shadow"), "") {
func Read(dir fs.FS, name string) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		names, err := list(dir, cmp.Or(name, defaultName))
		if err != nil {
			yield(nil, fmt.Errorf("file: %w", err))
			return
		}
		for _, segment := range names {
			if !readSegment(dir, segment, yield) {
				return
			}
		}
	}
}

// readSegment reports whether to go on.
func readSegment(dir fs.FS, name string, yield func(*Record, error) bool) bool {
	f, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return true // removed since
	}
	if err != nil {
		return yield(nil, fmt.Errorf("file: %w", err))
	}
	defer f.Close()
	var src io.Reader = f
	if strings.HasSuffix(name, extension(Zstd)) {
		plain, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxLine))
		if err != nil {
			return yield(nil, fmt.Errorf("file: %s: %w", name, err))
		}
		defer plain.Close()
		src = plain
	}
	lines := bufio.NewReaderSize(src, 64<<10)
	for at := 1; ; at++ {
		line, err := readLine(lines)
		switch {
		case len(line) == 0 && errors.Is(err, io.EOF), len(line) == 0 && errors.Is(err, io.ErrUnexpectedEOF):
			return true // a segment that was not ended ends where it was flushed last
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return yield(nil, fmt.Errorf("%s: line %d: %w", name, at, ErrTorn))
		case err != nil && !errors.Is(err, errLong):
			return yield(nil, fmt.Errorf("file: %s: line %d: %w", name, at, err))
		}
		record, err := decode(line, err)
		if err != nil {
			err = fmt.Errorf("file: %s: line %d: %w", name, at, err)
		}
		if !yield(record, err) {
			return false
		}
	}
}

var errLong = fmt.Errorf("a record of more than %d bytes", maxLine)

// readLine reads up to and with the next end of line. Of a line that is too long there
// is nothing but the error.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = r.ReadSlice('\n')
			}
			if err == nil {
				err = errLong
			}
			return nil, err
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func decode(line []byte, err error) (*Record, error) {
	if err != nil {
		return nil, err
	}
	var v struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(line, &v); err != nil {
		return nil, err
	}
	if v.Version != version {
		return nil, fmt.Errorf("a record of version %d; this library reads version %d", v.Version, version)
	}
	r := &Record{}
	d := json.NewDecoder(bytes.NewReader(line))
	if err := d.Decode(r); err != nil {
		return nil, err
	}
	return r, nil
}
