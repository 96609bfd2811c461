package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// retention removes segments: those over Options.Segments whenever one begins or ends, and
// those older than Options.Retention when they become so, by a timer.
type retention struct {
	o    *Options
	note func(error)

	mu      sync.Mutex
	current string // the segment that is being written; empty between segments
	timer   *time.Timer
	stopped bool
}

// begin notes which segment is being written, and removes others.
func (r *retention) begin(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = name
	r.remove()
}

// expire removes what has become too old.
func (r *retention) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove()
}

// stop removes what is too old now, and ends the timer.
func (r *retention) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stopped = true
	r.remove()
}

// remove removes the segments that are too many, or too old, and sets the timer for the next
// that will be too old. It runs under mu.
func (r *retention) remove() {
	if r.timer != nil {
		r.timer.Stop()
	}
	names, err := list(os.DirFS(r.o.Dir), r.o.Name)
	if err != nil {
		r.note(err)
		return
	}
	ended := slices.DeleteFunc(names, func(name string) bool { return name == r.current })
	most := r.o.Segments
	if r.current == "" { // the last that ended gives way when another begins
		most++
	}
	now, next := time.Now(), r.o.Retention // that of a segment that ends now
	for i, name := range ended {
		path := filepath.Join(r.o.Dir, name)
		old := i < len(ended)-most
		if info, err := os.Stat(path); !old && r.o.Retention > 0 && err == nil {
			left := r.o.Retention - now.Sub(info.ModTime())
			old = left <= 0
			next = min(next, max(left, 0))
		}
		if !old {
			continue
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			r.note(err)
			next = max(next, pause)
		}
	}
	if r.o.Retention > 0 && len(ended) > 0 && !r.stopped {
		r.timer = time.AfterFunc(max(next, pause), r.expire)
	}
}
