package sampling

import (
	"fmt"
	"time"
)

// Windows are the ends, Length long, of periods of the length Every that begin at Start.
type Windows struct {
	Start         time.Time
	Every, Length time.Duration
}

// Shortest is the length of the shortest window, in which clocks can be trusted to see
// requests.
const Shortest = time.Millisecond

// Check says what is wrong with w.
func (w *Windows) Check() error {
	switch {
	case w.Length < Shortest:
		return fmt.Errorf("a window of %v is shorter than %v", w.Length, Shortest)
	case w.Every <= w.Length:
		return fmt.Errorf("a window of %v every %v leaves nothing outside", w.Length, w.Every)
	}
	return nil
}

// Open reports whether t is in a window. Before the start there were windows too.
func (w *Windows) Open(t time.Time) bool {
	at := t.Sub(w.Start) % w.Every
	if at < 0 {
		at += w.Every
	}
	return at >= w.Every-w.Length
}
