package file_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/goshadow/shadow"
	"github.com/goshadow/shadow/report/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is a result like those that a Mirror reports.
func result(id int) *shadow.Result {
	return &shadow.Result{
		Exchange: shadow.Exchange{
			ID: fmt.Sprint(id), Route: "GET /items/{id}",
			Request: &shadow.Message{Method: "GET", URL: &url.URL{Path: "/items/1", RawQuery: "q=1"}, Header: http.Header{"Accept": {"*/*"}}},
			Primary: &shadow.Message{Method: "GET", StatusCode: 200, Header: http.Header{"Etag": {"a"}}, Body: []byte(`{"price":1}`), Size: 11, Took: time.Millisecond},
			Shadow:  &shadow.Message{Method: "GET", StatusCode: 200, Body: []byte(`{"price":2}`), Size: 11, Took: 2 * time.Millisecond},
		},
		Mirror: "m", Target: "v2", Outcome: shadow.Mismatch,
		Diffs:       []shadow.Diff{{Path: "/body/price", Kind: shadow.Changed, Primary: json.RawMessage("1"), Shadow: json.RawMessage("2")}},
		Start:       time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Queued:      time.Microsecond,
		Probability: 0.5,
	}
}

func open(t testing.TB, o file.Options) *file.Writer {
	t.Helper()
	w, err := file.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { w.Close() })
	return w
}

func report(t testing.TB, w *file.Writer, ids ...int) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, w.Report(context.Background(), result(id)))
	}
}

// read returns the IDs of the records in dir, and the errors in between.
func read(dir string) (ids []string, errs []error) {
	for record, err := range file.Read(os.DirFS(dir), "") {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		ids = append(ids, record.ID)
	}
	return ids, errs
}

func segments(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "results-*"))
	require.NoError(t, err)
	return names
}

var compressions = []file.Compression{file.Plain, file.Zstd}

func TestWhatIsReportedIsReadBack(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "made")
			w := open(t, file.Options{Dir: dir, Compression: c, Messages: 5})
			r := result(7)
			r.Err = errors.New("late")
			require.NoError(t, w.Report(context.Background(), r))
			require.NoError(t, w.Close())
			for record, err := range file.Read(os.DirFS(dir), "") {
				require.NoError(t, err)
				assert.Equal(t, &file.Record{
					Version: 1, Time: r.Start, ID: "7", Mirror: "m", Target: "v2", Route: "GET /items/{id}",
					Outcome: "mismatch", Error: "late", Queued: time.Microsecond, Probability: 0.5,
					Diffs:   []file.Diff{{Path: "/body/price", Kind: "changed", Primary: json.RawMessage("1"), Shadow: json.RawMessage("2")}},
					Request: &file.Message{Method: "GET", URL: "/items/1?q=1", Header: http.Header{"Accept": {"*/*"}}},
					Primary: &file.Message{Status: 200, Header: http.Header{"Etag": {"a"}}, Body: []byte(`{"pri`), Cut: true, Size: 11, Took: int64(time.Millisecond)},
					Shadow:  &file.Message{Status: 200, Body: []byte(`{"pri`), Cut: true, Size: 11, Took: 2 * int64(time.Millisecond)},
				}, record)
			}
			assert.Equal(t, file.Stats{Written: 1, Segments: 1}, w.Stats())
		})
	}
}

func TestMessagesAreKeptOnlyWhereAskedFor(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir})
	report(t, w, 1)
	require.NoError(t, w.Close())
	raw, err := os.ReadFile(segments(t, dir)[0])
	require.NoError(t, err)
	for _, part := range []string{"items/1", "Accept", "Etag", "header", "body\""} {
		assert.NotContains(t, string(raw), part)
	}
	info, err := os.Stat(segments(t, dir)[0])
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "for the owner alone")
}

func TestOutcomesAreKeptAsAskedFor(t *testing.T) {
	for _, test := range []struct {
		keep []shadow.Outcome
		want []string
	}{
		{nil, []string{"mismatch", "failed", "uncompared"}},
		{[]shadow.Outcome{shadow.Match}, []string{"match"}},
		{[]shadow.Outcome{}, nil},
	} {
		dir := t.TempDir()
		w := open(t, file.Options{Dir: dir, Keep: test.keep})
		for _, o := range []shadow.Outcome{shadow.Match, shadow.Mismatch, shadow.Failed, shadow.Uncompared} {
			r := result(1)
			r.ID, r.Outcome = string(o), o
			require.NoError(t, w.Report(context.Background(), r))
		}
		require.NoError(t, w.Close())
		got, errs := read(dir)
		assert.Empty(t, errs)
		assert.Equal(t, test.want, got)
	}
}

func TestASegmentEndsAtItsSize(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, file.Options{Dir: dir, Compression: c, SegmentSize: 1000, Segments: 1000})
			var want []string
			for i := range 100 {
				report(t, w, i)
				want = append(want, fmt.Sprint(i))
			}
			require.NoError(t, w.Close())
			got, errs := read(dir)
			assert.Empty(t, errs)
			assert.Equal(t, want, got, "in order, over all segments")
			names := segments(t, dir)
			assert.Greater(t, len(names), 20)
			assert.Equal(t, len(names), w.Stats().Segments)
			for _, name := range names {
				info, err := os.Stat(name)
				require.NoError(t, err)
				assert.LessOrEqual(t, info.Size(), int64(1000))
			}
			assert.Less(t, len(names), 60, "and not before")
		})
	}
}

func TestASegmentEndsAtItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, file.Options{Dir: dir, SegmentAge: time.Minute})
		for i := range 3 {
			report(t, w, i)
			time.Sleep(59 * time.Second)
			report(t, w, i)
			time.Sleep(2 * time.Second)
		}
		require.NoError(t, w.Close())
		assert.Len(t, segments(t, dir), 3)
	})
}

func TestOnlySoManySegmentsAreKept(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"results-note.txt", "results-20260102T030405.000000000Z.txt", "other-20260102T030405.000000000Z.jsonl"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600))
	}
	w := open(t, file.Options{Dir: dir, SegmentSize: 1, Segments: 2})
	for i := range 10 {
		report(t, w, i)
	}
	require.NoError(t, w.Close())
	got, errs := read(dir)
	assert.Empty(t, errs)
	assert.Equal(t, []string{"7", "8", "9"}, got, "two that ended, and the last")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 3+3, "what is not a segment of this Writer stays")
}

// A clock that was set back does not make the latest segments the oldest: they are read
// last, and removed last.
func TestSegmentsAreInOrderThoughTheClockWasSetBack(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir})
	report(t, w, 1)
	require.NoError(t, w.Close())
	ahead := "results-" + time.Now().Add(time.Hour).UTC().Format("20060102T150405.000000000Z") + ".jsonl"
	require.NoError(t, os.Rename(segments(t, dir)[0], filepath.Join(dir, ahead)))

	w = open(t, file.Options{Dir: dir, SegmentSize: 1, Segments: 2})
	report(t, w, 2, 3)
	require.NoError(t, w.Flush(context.Background()))
	got, errs := read(dir)
	assert.Empty(t, errs)
	assert.Equal(t, []string{"1", "2", "3"}, got)
	report(t, w, 4)
	require.NoError(t, w.Close())
	got, _ = read(dir)
	assert.Equal(t, []string{"2", "3", "4"}, got)
}

func TestSegmentsAreKeptForSoLong(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir, SegmentSize: 1, Retention: time.Hour})
	report(t, w, 1, 2)
	require.NoError(t, w.Flush(context.Background()))
	past := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(segments(t, dir)[0], past, past))
	report(t, w, 3)
	require.NoError(t, w.Close())
	got, _ := read(dir)
	assert.Equal(t, []string{"2", "3"}, got)
}

// Retention needs no traffic: what is too old goes when it becomes so, also what an earlier
// process left, and without a record ever written.
func TestSegmentsGoWhenTheyAreTooOldWithoutAnotherOne(t *testing.T) {
	for name, idle := range map[string]bool{"of this Writer": false, "of an earlier one": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				o := file.Options{Dir: dir, SegmentSize: 1, Retention: time.Hour}
				w := open(t, o)
				report(t, w, 1, 2, 3)
				require.NoError(t, w.Flush(context.Background()))
				if idle {
					require.NoError(t, w.Close())
				}
				names := segments(t, dir)
				require.Len(t, names, 3)
				for i, age := range []time.Duration{90 * time.Minute, 50 * time.Minute, 0} { // by the clock of the bubble
					at := time.Now().Add(-age)
					require.NoError(t, os.Chtimes(names[i], at, at))
				}
				if idle {
					w = open(t, o)
					assert.Equal(t, names[1:], segments(t, dir), "New removes what is too old already")
				} else {
					report(t, w, 4)
					require.NoError(t, w.Flush(context.Background()))
					names = append(names, segments(t, dir)[2])
				}
				left := func(after time.Duration) []string {
					time.Sleep(after)
					synctest.Wait()
					return segments(t, dir)
				}
				assert.Equal(t, names[1:], left(9*time.Minute))
				assert.Equal(t, names[2:], left(time.Minute+2*time.Second))
				if idle {
					assert.Empty(t, left(time.Hour))
				}
				require.NoError(t, w.Close())
			})
		})
	}
}

// Close leaves nothing behind that removes files, and what is too old by then is gone.
func TestCloseEndsRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, file.Options{Dir: dir, SegmentSize: 1, Retention: time.Hour})
		report(t, w, 1, 2)
		require.NoError(t, w.Flush(context.Background()))
		names := segments(t, dir)
		past := time.Now().Add(-2 * time.Hour)
		require.NoError(t, os.Chtimes(names[0], past, past))
		require.NoError(t, w.Close())
		require.Equal(t, names[1:], segments(t, dir))
		at := time.Now()
		require.NoError(t, os.Chtimes(names[1], at, at))
		time.Sleep(48 * time.Hour)
		require.Equal(t, names[1:], segments(t, dir))
	})
}

// Whatever byte a segment was cut after, what was flushed before it is there, and what
// comes in the next segment too.
func TestATornRecordHidesNothing(t *testing.T) {
	for _, c := range compressions {
		t.Run(string(c), func(t *testing.T) {
			dir := t.TempDir()
			w := open(t, file.Options{Dir: dir, Compression: c})
			var sizes []int64 // of the segment after each record
			for i := range 3 {
				report(t, w, i)
				require.NoError(t, w.Flush(context.Background()))
				info, err := os.Stat(segments(t, dir)[0])
				require.NoError(t, err)
				sizes = append(sizes, info.Size())
			}
			require.NoError(t, w.Close())
			first := filepath.Base(segments(t, dir)[0])
			whole, err := os.ReadFile(segments(t, dir)[0])
			require.NoError(t, err)
			next := strings.Replace(first, "results-2", "results-3", 1)
			for cut := range len(whole) {
				there := 0
				for there < 3 && int64(cut) >= sizes[there] {
					there++
				}
				dir := fstest.MapFS{first: {Data: whole[:cut]}, next: {Data: whole}}
				var got []string
				faults := 0
				for record, err := range file.Read(dir, "") {
					if err != nil {
						require.ErrorIs(t, err, file.ErrTorn)
						require.ErrorContains(t, err, first)
						faults++
						continue
					}
					got = append(got, record.ID)
				}
				require.LessOrEqual(t, faults, 1, "cut at %d", cut)
				require.Equal(t, append([]string{"0", "1", "2"}[:there:there], "0", "1", "2"), got, "cut at %d", cut)
			}
		})
	}
}

func TestWhatIsNoRecordIsAnErrorWithItsPlace(t *testing.T) {
	good := `{"v":1,"id":"a"}` + "\n"
	const name = "results-20260102T030405.000000000Z.jsonl"
	var got []string
	for record, err := range file.Read(fstest.MapFS{name: {Data: []byte(good + "{]\n" + `{"v":2,"id":"b"}` + "\n\n" + good)}}, "") {
		if err != nil {
			got = append(got, err.Error())
			continue
		}
		got = append(got, record.ID)
	}
	assert.Equal(t, []string{
		"a",
		"file: " + name + ": line 2: invalid character ']' looking for beginning of object key string",
		"file: " + name + ": line 3: a record of version 2; this library reads version 1",
		"file: " + name + ": line 4: unexpected end of JSON input",
		"a",
	}, got)
}

func TestReadingStopsWhereTheReaderDoes(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir, SegmentSize: 1})
	report(t, w, 1, 2, 3)
	require.NoError(t, w.Close())
	seen := 0
	for range file.Read(os.DirFS(dir), "") {
		seen++
		break
	}
	assert.Equal(t, 1, seen)
	for _, err := range file.Read(os.DirFS(filepath.Join(dir, "none")), "") {
		assert.ErrorIs(t, err, os.ErrNotExist)
	}
}

// A segment that is being written is read as far as it is there.
func TestRecordsAreReadWhileOthersAreWritten(t *testing.T) {
	for _, c := range compressions {
		dir := t.TempDir()
		w := open(t, file.Options{Dir: dir, Compression: c})
		report(t, w, 1)
		require.NoError(t, w.Flush(context.Background()))
		got, errs := read(dir)
		assert.Empty(t, errs)
		assert.Equal(t, []string{"1"}, got)
	}
}

// No record fits into a queue of one byte.
func TestAReportIsDroppedRatherThanWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		w := open(t, file.Options{Dir: dir, Queue: 1})
		assert.ErrorIs(t, w.Report(context.Background(), result(1)), file.ErrFull)
		assert.Equal(t, file.Stats{Dropped: 1}, w.Stats())

		patient := open(t, file.Options{Dir: dir, Queue: 1, Wait: time.Second})
		start := time.Now()
		assert.ErrorIs(t, patient.Report(context.Background(), result(1)), file.ErrFull)
		assert.Equal(t, time.Second, time.Since(start), "no longer than it may")

		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		start = time.Now()
		assert.ErrorIs(t, patient.Report(ctx, result(1)), file.ErrFull)
		assert.Zero(t, time.Since(start))
	})
}

func TestARecordWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := open(t, file.Options{Dir: t.TempDir(), Queue: 500, Wait: time.Hour})
		for i := range 50 { // one fits at a time
			require.NoError(t, w.Report(context.Background(), result(i)))
		}
		require.NoError(t, w.Close())
		assert.EqualValues(t, 50, w.Stats().Written)
	})
}

func TestAfterCloseNothingIsKept(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir})
	require.NoError(t, w.Flush(context.Background()))
	require.NoError(t, w.Close())
	require.NoError(t, w.Close())
	assert.ErrorIs(t, w.Report(context.Background(), result(1)), file.ErrClosed)
	require.NoError(t, w.Flush(context.Background()))
	assert.Empty(t, segments(t, dir))
}

// What cannot be written is counted, and once the disk is well again records are kept.
func TestADiskThatFailsCostsOnlyWhatItLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "results")
		w := open(t, file.Options{Dir: dir, SegmentSize: 1})
		report(t, w, 1)
		require.NoError(t, w.Flush(context.Background()))
		require.NoError(t, os.RemoveAll(dir))
		report(t, w, 2)
		require.NoError(t, w.Flush(context.Background()))
		stats := w.Stats()
		assert.ErrorIs(t, stats.LastError, os.ErrNotExist)
		assert.EqualValues(t, 1, stats.Failed)

		require.NoError(t, os.Mkdir(dir, 0o700))
		report(t, w, 3)
		require.NoError(t, w.Flush(context.Background()))
		assert.EqualValues(t, 2, w.Stats().Failed, "the disk is left alone for a second")
		time.Sleep(time.Second)
		report(t, w, 4)
		require.Error(t, w.Close(), "it tells of the fault")
		got, errs := read(dir)
		assert.Empty(t, errs)
		assert.Equal(t, []string{"4"}, got)
		assert.EqualValues(t, 2, w.Stats().Written)
	})
}

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	_, err := file.New(file.Options{Name: "a/b", Compression: "lzma", Messages: -1, SegmentSize: -1, SegmentAge: -1, Segments: -1,
		Retention: -1, Queue: -1, Wait: -1, Keep: []shadow.Outcome{"no"}})
	for _, part := range []string{"Dir is empty", `Name "a/b"`, `Compression "lzma"`, "Messages is negative", "SegmentSize is", "SegmentAge is",
		"Segments is", "Retention is", "Queue is", "Wait is", `Keep: "no"`} {
		assert.ErrorContains(t, err, part)
	}
	taken := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(taken, nil, 0o600))
	_, err = file.New(file.Options{Dir: taken})
	assert.ErrorContains(t, err, "Options.Dir")
}

// From real traffic to the file: what the record mask took away is not there.
func TestAMirrorsResultsAreKeptMasked(t *testing.T) {
	dir := t.TempDir()
	w := open(t, file.Options{Dir: dir, Messages: 1 << 20})
	answer := func(price int) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"card":"4111-%d","price":%d}`, price, price)
		})
	}
	m, err := shadow.New(shadow.InProcess("v2", answer(2)), shadow.WithReporter(w), shadow.WithMasker(shadow.MaskJSON("$.card")))
	require.NoError(t, err)
	r := httptest.NewRequest("GET", "/items/1", nil)
	r.Header.Set("Authorization", "Bearer hunter2")
	m.Handler(answer(1)).ServeHTTP(httptest.NewRecorder(), r)
	require.NoError(t, m.Shutdown(context.Background()))
	raw, err := os.ReadFile(segments(t, dir)[0])
	require.NoError(t, err, "Shutdown has flushed it")
	assert.NotContains(t, string(raw), "hunter2")
	require.NoError(t, w.Close())
	for record, err := range file.Read(os.DirFS(dir), "") {
		require.NoError(t, err)
		assert.JSONEq(t, `{"card":"[masked]","price":1}`, string(record.Primary.Body))
		assert.Equal(t, []string{"/body/card", "/body/price"}, []string{record.Diffs[0].Path, record.Diffs[1].Path})
		assert.JSONEq(t, `"[masked]"`, string(record.Diffs[0].Primary))
	}
}

func FuzzReadingNeverPanicsAndEnds(f *testing.F) {
	f.Add([]byte(`{"v":1,"id":"a"}`+"\n"), false)
	f.Add([]byte("\x28\xb5\x2f\xfd"), true)
	f.Fuzz(func(t *testing.T, data []byte, zipped bool) {
		name := "results-20260102T030405.000000000Z.jsonl"
		if zipped {
			name += ".zst"
		}
		n := 0
		for record, err := range file.Read(fstest.MapFS{name: {Data: data}}, "") {
			require.True(t, (record == nil) == (err != nil))
			n++
		}
		if !zipped {
			require.LessOrEqual(t, n, bytes.Count(data, []byte("\n"))+1)
		}
	})
}

func ExampleNew() {
	dir, _ := os.MkdirTemp("", "results")
	defer os.RemoveAll(dir)

	results, err := file.New(file.Options{Dir: dir, Compression: file.Zstd})
	if err != nil {
		panic(err)
	}
	say := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, text) })
	}
	mirror, err := shadow.New(shadow.InProcess("v2", say("hello")), shadow.WithReporter(results))
	if err != nil {
		panic(err)
	}
	mirror.Handler(say("hullo")).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/greeting", nil))
	mirror.Shutdown(context.Background())
	results.Close()

	for record, err := range file.Read(os.DirFS(dir), "") {
		if err != nil {
			panic(err)
		}
		fmt.Println(record.Route, record.Outcome, record.Diffs[0].Path)
	}
	// Output: GET /greeting mismatch /body
}

func BenchmarkReport(b *testing.B) {
	w := open(b, file.Options{Dir: b.TempDir(), Queue: 1 << 30})
	r := result(1)
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Report(context.Background(), r); err != nil {
			b.Fatal(err)
		}
	}
}
