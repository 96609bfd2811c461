package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// segments writes lines into one segment after the other. After a fault the segment it was
// in is left as it is, and the next lines begin a new one.
type segments struct {
	o     *Options
	file  *os.File // nil between segments
	zip   *zstd.Encoder
	size  int64 // bytes of lines in the segment
	timer *time.Timer
	begun int
	until time.Time   // no new segment before
	note  func(error) // of faults that cost no line
	kept  *retention
}

// pause is how long a disk that failed is left alone.
const pause = time.Second

var errPaused = errors.New("file: the disk failed within the last second")

// write writes at least one of lines to where a reader can see them, and returns how
// many. With an error these are lost.
func (s *segments) write(lines [][]byte) (n int, err error) {
	if s.size > 0 && s.size+int64(len(lines[0])) > s.o.SegmentSize {
		s.note(s.end())
	}
	if err := s.begin(); err != nil {
		return len(lines), err
	}
	chunk := lines[0]
	for n = 1; n < len(lines) && s.size+int64(len(chunk)+len(lines[n])) <= s.o.SegmentSize; n++ {
		chunk = append(chunk, lines[n]...)
	}
	if err := s.put(chunk); err != nil {
		s.until = time.Now().Add(pause)
		return n, errors.Join(err, s.close())
	}
	s.size += int64(len(chunk))
	return n, nil
}

func (s *segments) put(chunk []byte) error {
	if s.o.Compression == Plain {
		_, err := s.file.Write(chunk)
		return err
	}
	if _, err := s.zip.Write(chunk); err != nil {
		return err
	}
	return s.zip.Flush()
}

// begin makes sure that there is a segment.
func (s *segments) begin() error {
	if s.file != nil {
		return nil
	}
	now := time.Now()
	if now.Before(s.until) {
		return errPaused
	}
	f, err := s.create(now)
	if err != nil {
		s.until = now.Add(pause)
		return err
	}
	if s.o.Compression == Zstd {
		s.zip, err = zstd.NewWriter(f, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return errors.Join(err, f.Close())
		}
	}
	s.file = f
	s.timer = time.NewTimer(s.o.SegmentAge)
	s.begun++
	s.kept.begin(filepath.Base(f.Name()))
	return nil
}

// create makes a file whose name sorts behind those of all segments before it, even if the
// clock was set back since.
func (s *segments) create(now time.Time) (*os.File, error) {
	names, err := list(os.DirFS(s.o.Dir), s.o.Name)
	if err != nil {
		return nil, err
	}
	if len(names) > 0 {
		last, _, _ := strings.Cut(names[len(names)-1][len(s.o.Name)+1:], ".jsonl")
		if begun, err := time.Parse(stamp, last); err == nil && !now.After(begun) {
			now = begun.Add(1)
		}
	}
	for {
		name := s.o.Name + "-" + now.UTC().Format(stamp) + extension(s.o.Compression)
		f, err := os.OpenFile(filepath.Join(s.o.Dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		now = now.Add(1)
	}
}

// stamp is when a segment was begun, in its name.
const stamp = "20060102T150405.000000000Z"

func extension(c Compression) string {
	if c == Zstd {
		return ".jsonl.zst"
	}
	return ".jsonl"
}

// aged tells when the segment has become too old.
func (s *segments) aged() <-chan time.Time {
	if s.file == nil {
		return nil
	}
	return s.timer.C
}

// end ends the segment, if there is one: it is on the disk then.
func (s *segments) end() error {
	if s.file == nil {
		return nil
	}
	var err error
	if s.zip != nil {
		err = s.zip.Close()
	}
	return errors.Join(err, s.file.Sync(), s.close())
}

func (s *segments) close() error {
	s.timer.Stop()
	err := s.file.Close()
	s.file, s.zip, s.size = nil, nil, 0
	s.kept.begin("")
	return err
}

// list is the names of the segments that begin with name, oldest first.
func list(dir fs.FS, name string) ([]string, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries { // sorted, and so are their times
		rest, ok := strings.CutPrefix(e.Name(), name+"-")
		if ok && e.Type().IsRegular() && (stamped(rest, Plain) || stamped(rest, Zstd)) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// stamped reports whether the rest of a file's name is that of a segment.
func stamped(rest string, c Compression) bool {
	begun, ok := strings.CutSuffix(rest, extension(c))
	if !ok {
		return false
	}
	_, err := time.Parse(stamp, begun)
	return err == nil
}
