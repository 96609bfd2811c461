// Package file keeps results in files, as lines of JSON in segments that are rotated, so that
// people and programs can look at the differences of yesterday.
//
//	results, err := file.New(file.Options{Dir: "/var/lib/orders/shadow"})
//	...
//	mirror, err := shadow.New(target, shadow.WithReporter(results))
//	...
//	mirror.Shutdown(ctx)
//	results.Close()
//
// Read yields the records again, each as a whole: a line that was not written to its end is
// [ErrTorn], and never a record. A process that dies loses the records that were not written yet:
// at most Options.Queue, and what was being written. A disk that fails or is full costs the records
// that were being written and those of the next second; later ones begin a new segment. Records
// that were written before are not affected.
package file

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/internal/flush"
)

// Options say where results are kept, and how many. Only Dir has to be given.
type Options struct {
	// Dir is the directory. It is made if it is not there, readable by its owner alone.
	Dir string
	// Name begins the names of the segments; several Writers in one directory need
	// different ones. The default is "results".
	Name string
	// Keep are the outcomes that are kept. The default is all but shadow.Match.
	Keep []shadow.Outcome
	// Messages is how many bytes of each body are kept, and whether URLs and headers are: 0
	// keeps none of them. They were masked, but a mask can only know what it was told.
	Messages int64

	// SegmentSize and SegmentAge end a segment: bytes of records, before compression, and
	// time since it was begun. The defaults are 64 MiB and an hour. A record that is larger
	// has a segment to itself.
	SegmentSize int64
	SegmentAge  time.Duration
	// Segments and Retention are how many ended segments are kept, and for how long after
	// their last record; older ones are removed, within a second of becoming so, from New to
	// Close. So a record is kept for SegmentAge and Retention at most. After Close nothing
	// removes them but the next New. The defaults are 24 and no limit of time.
	Segments  int
	Retention time.Duration
	// Compression of new segments. The default is none.
	Compression Compression

	// Queue is how many bytes of records may wait for the disk: 0 is 4 MiB.
	Queue int64
	// Wait is how long Report waits for room in the queue. The default is not at all.
	Wait time.Duration
}

// Compression is how segments are compressed.
type Compression string

// The compressions.
const (
	Plain Compression = ""
	Zstd  Compression = "zstd" // RFC 8878
)

const (
	defaultName        = "results"
	defaultSegmentSize = 64 << 20
	defaultSegmentAge  = time.Hour
	defaultSegments    = 24
	defaultQueue       = 4 << 20
)

// Stats counts what became of the results that were to be kept.
type Stats struct {
	Written  uint64 // handed to the file system
	Dropped  uint64 // the queue was full
	Failed   uint64 // they could not be written; the last error is LastError
	Segments int    // begun since New

	LastError error
}

// Writer is a shadow.Reporter that keeps results in files. It is safe for concurrent use.
// It has one goroutine from its first record to Close.
type Writer struct {
	o Options

	mu      sync.Mutex
	lines   [][]byte // that wait
	waiting int64    // their bytes
	room    chan struct{}
	work    chan struct{} // has one element where there are lines
	closed  bool
	closing chan struct{}
	flush   flush.Requests
	done    chan struct{} // nil before the first record
	kept    retention

	written, dropped, failed atomic.Uint64
	segments                 atomic.Int64
	last                     atomic.Pointer[error]
}

// Errors of Report.
var (
	ErrFull   = errors.New("file: the queue is full")
	ErrClosed = errors.New("file: the Writer is closed")
)

// New returns a Writer. It makes the directory and reports everything that is wrong with o
// at once; it opens no file, and removes segments that are too many or too old.
func New(o Options) (*Writer, error) {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf("file: "+format, args...)) }
	if o.Dir == "" {
		fail("Options.Dir is empty: say in which directory results are to be kept")
	}
	if strings.ContainsAny(o.Name, `/\*?[`) {
		fail("Options.Name %q: it begins the names of files", o.Name)
	}
	if o.Compression != Plain && o.Compression != Zstd {
		fail("Options.Compression %q: there are Plain and Zstd", o.Compression)
	}
	for name, n := range map[string]int64{
		"Messages": o.Messages, "SegmentSize": o.SegmentSize, "SegmentAge": int64(o.SegmentAge), "Segments": int64(o.Segments),
		"Retention": int64(o.Retention), "Queue": o.Queue, "Wait": int64(o.Wait),
	} {
		if n < 0 {
			fail("Options.%s is negative", name)
		}
	}
	for _, outcome := range o.Keep {
		switch outcome {
		case shadow.Match, shadow.Mismatch, shadow.Failed, shadow.Uncompared:
		default:
			fail("Options.Keep: %q is no outcome", outcome)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("file: Options.Dir: %w", err)
	}
	if o.Keep == nil {
		o.Keep = []shadow.Outcome{shadow.Mismatch, shadow.Failed, shadow.Uncompared}
	}
	o.Name = cmp.Or(o.Name, defaultName)
	o.SegmentSize = cmp.Or(o.SegmentSize, defaultSegmentSize)
	o.SegmentAge = cmp.Or(o.SegmentAge, defaultSegmentAge)
	o.Segments = cmp.Or(o.Segments, defaultSegments)
	o.Queue = cmp.Or(o.Queue, defaultQueue)
	w := &Writer{o: o, work: make(chan struct{}, 1), room: make(chan struct{}),
		closing: make(chan struct{}), flush: make(flush.Requests)}
	w.kept = retention{o: &w.o, note: func(err error) { w.noted(err) }}
	w.kept.expire()
	return w, nil
}

// Report keeps r, if its outcome is to be kept. It hands the record over and does not wait
// for the disk; where the queue has no room within Options.Wait the record is dropped and
// the error is ErrFull.
func (w *Writer) Report(ctx context.Context, r *shadow.Result) error {
	if !w.keeps(r.Outcome) {
		return nil
	}
	line, err := json.Marshal(w.o.record(r))
	if err != nil {
		w.failed.Add(1)
		w.noted(err)
		return fmt.Errorf("file: %w", err)
	}
	err = w.put(ctx, append(line, '\n'))
	if err != nil {
		w.dropped.Add(1)
	}
	return err
}

func (w *Writer) keeps(o shadow.Outcome) bool {
	for _, kept := range w.o.Keep {
		if o == kept {
			return true
		}
	}
	return false
}

func (w *Writer) put(ctx context.Context, line []byte) error {
	var expired <-chan time.Time
	for {
		room, err := w.tryPut(line)
		if !errors.Is(err, ErrFull) || w.o.Wait == 0 {
			return err
		}
		if expired == nil {
			timer := time.NewTimer(w.o.Wait)
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-room:
		case <-expired:
			return ErrFull
		case <-ctx.Done():
			return ErrFull
		}
	}
}

// tryPut puts line on the queue. Where there is no room the channel is closed once there
// may be some.
func (w *Writer) tryPut(line []byte) (room <-chan struct{}, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return nil, ErrClosed
	case w.waiting+int64(len(line)) > w.o.Queue:
		return w.room, ErrFull
	}
	w.lines, w.waiting = append(w.lines, line), w.waiting+int64(len(line))
	if w.done == nil {
		w.done = make(chan struct{})
		go w.run()
	}
	w.wake()
	return nil, nil
}

func (w *Writer) wake() {
	select {
	case w.work <- struct{}{}:
	default:
	}
}

// take takes what waits.
func (w *Writer) take() [][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines, w.waiting = nil, 0
	close(w.room)
	w.room = make(chan struct{})
	return lines
}

// run is the goroutine that writes.
func (w *Writer) run() {
	defer close(w.done)
	s := &segments{o: &w.o, note: func(err error) { w.noted(err) }, kept: &w.kept}
	for {
		select {
		case <-w.work:
			w.write(s, w.take())
		case flushed := <-w.flush:
			w.write(s, w.take())
			close(flushed)
		case <-s.aged():
			w.noted(s.end())
		case <-w.closing:
			w.write(s, w.take())
			w.noted(s.end())
			return
		}
	}
}

func (w *Writer) write(s *segments, lines [][]byte) {
	for len(lines) > 0 {
		n, err := s.write(lines)
		if w.noted(err) {
			w.failed.Add(uint64(n))
		} else {
			w.written.Add(uint64(n))
		}
		lines = lines[n:]
	}
	w.segments.Store(int64(s.begun))
}

// noted notes err and reports whether there is one.
func (w *Writer) noted(err error) bool {
	if err != nil {
		w.last.Store(&err)
	}
	return err != nil
}

// Close writes what waits, ends the segment and waits for that. It may be called again.
func (w *Writer) Close() error {
	w.mu.Lock()
	done := w.done
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
	if done != nil {
		<-done
	}
	w.kept.stop()
	return w.Stats().LastError
}

// Flush waits until what was reported so far has been handed to the file system, or ctx
// ends. A Mirror calls it when it is shut down.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	done := w.done
	w.mu.Unlock()
	return w.flush.Wait(ctx, done)
}

// Stats reads the counts.
func (w *Writer) Stats() Stats {
	s := Stats{Written: w.written.Load(), Dropped: w.dropped.Load(), Failed: w.failed.Load(), Segments: int(w.segments.Load())}
	if err := w.last.Load(); err != nil {
		s.LastError = *err
	}
	return s
}
