package ledger

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	matched = iota + 1
	skippedHere
	droppedHere
	codes
)

// What is counted by route adds up to what is counted in all, in the order in which it is counted.
func TestRoutesAddUpToTheTotal(t *testing.T) {
	l := New(codes, "(other)", 10, 20)
	total := func(c Code) (n uint64) {
		for r := range l.Routes() {
			n += r.Ended(c)
		}
		return n
	}
	var load, watch sync.WaitGroup
	stop := make(chan struct{})
	watch.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if all := l.Total(matched); total(matched) < all {
				t.Errorf("%d in all, and fewer by route", all)
			}
			if routes := total(droppedHere); routes > l.Total(droppedHere) {
				t.Errorf("%d by route, and fewer in all", routes)
			}
		}
	})
	const clients, each = 8, 3000
	requests := make([][64]byte, clients*each)
	for client := range clients {
		load.Go(func() {
			for i := range each {
				address := uintptr(unsafe.Pointer(&requests[client*each+i]))
				r := l.Route(fmt.Sprint("GET /", i%50), i%2)
				if i%3 == 0 {
					l.Skip(address, droppedHere)
					r.Record(droppedHere)
				} else {
					r.Record(matched)
					l.Record(matched)
				}
				if weight := l.Skip(address, skippedHere); weight > 0 {
					r.Pass(skippedHere, weight)
				}
			}
		})
	}
	load.Wait()
	close(stop)
	watch.Wait()
	assert.EqualValues(t, clients*each/3, l.Total(droppedHere))
	assert.EqualValues(t, clients*each*2/3, l.Total(matched))
	assert.EqualValues(t, clients*each, l.Total(skippedHere))
	assert.Equal(t, []uint64{0, clients * each * 2 / 3, 0, 0}, l.Recorded(nil))
	assert.EqualValues(t, clients*each, l.Skipped(skippedHere))
	names, passed := map[string]bool{}, uint64(0)
	for r := range l.Routes() {
		names[r.Name] = true
		passed += r.Passed(skippedHere)
	}
	assert.Len(t, names, 31, "10 of one origin, 20 of the other, and the others")
	assert.True(t, names["(other)"])
	for _, c := range []Code{matched, droppedHere} {
		assert.Equal(t, l.Total(c), total(c))
	}
	assert.InDelta(t, clients*each, passed, 64*4*float64(runtime.GOMAXPROCS(0)), "each counter is short of 64 at most")
}

func TestTheOtherRouteIsThereOnceItIsUsed(t *testing.T) {
	names := func(l *Ledger) map[string]bool {
		list := map[string]bool{}
		for r := range l.Routes() {
			list[r.Name] = true
		}
		return list
	}
	l := New(codes, "(other)", 1)
	l.Route("a", 0).Record(matched)
	require.Equal(t, map[string]bool{"a": true}, names(l))
	b := l.Route("b", 0)
	require.Equal(t, "(other)", b.Name)
	require.Equal(t, map[string]bool{"a": true}, names(l))
	b.Pass(skippedHere, 64)
	require.Equal(t, map[string]bool{"a": true, "(other)": true}, names(l))
}

// To count costs no memory, wherever it is counted.
func TestCountingAllocatesNothing(t *testing.T) {
	l := New(codes, "(other)", 1)
	long := strings.Repeat("x", 200)
	l.Route(long, 0)
	request := new([64]byte)
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		var name [256]byte
		r := l.Find(name[:copy(name[:], long)])
		l.Skip(uintptr(unsafe.Pointer(request)), skippedHere)
		r.Record(matched)
		l.Record(matched)
	}))
}
