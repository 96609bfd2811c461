package pointer_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/pointer"
)

func TestPointersAreOrderedTokenByToken(t *testing.T) {
	want := []string{
		"", "/a", "/a/0", "/a/2", "/a/2/b", "/a/10", "/a/00", "/a/01", "/a/1x", "/a/b", "/a!", "/b",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, pointer.Compare)
	assert.Equal(t, want, got)
	for i, a := range want {
		for j, b := range want {
			assert.Equal(t, i < j, pointer.Compare(a, b) < 0, "%q %q", a, b)
		}
	}
}

func TestWhatPicksAnElementIsFolded(t *testing.T) {
	for path, want := range map[string]string{
		"":                        "",
		"/":                       "/",
		"/status":                 "/status",
		"/body/items/0/id":        "/body/items/*/id",
		"/body/items/12/0":        "/body/items/*/*",
		"/body/items/id=7/price":  "/body/items/*/price",
		"/body/items/id=/price":   "/body/items/*/price",
		"/body/v1/1x//007":        "/body/v1/1x//*",
		"/body/\u0660/\uff11":     "/body/\u0660/\uff11", // digits, but no indexes
		"/body/a~1b/name=a~1b/-1": "/body/a~1b/*/-1",
		"12":                      "*",
	} {
		assert.Equal(t, want, pointer.Fold(path), path)
		assert.Equal(t, "x"+want, string(pointer.AppendFold([]byte("x"), path)), path)
		assert.Equal(t, want, pointer.Fold(want), "folding twice is folding once")
	}
}

func TestFoldingIntoABufferAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 64)
	assert.Zero(t, testing.AllocsPerRun(100, func() { buf = pointer.AppendFold(buf[:0], "/body/items/12/id=4/price") }))
}

// Long names and long paths are cut, and two that differ in any place stay different.
func TestLongPathsAreCut(t *testing.T) {
	name := strings.Repeat("ä~/", 100)
	token := string(pointer.AppendToken(nil, []byte(name)))
	assert.Less(t, len(token), 256)
	assert.NotEqual(t, token, string(pointer.AppendToken(nil, []byte(name+"x"))))
	assert.True(t, utf8.ValidString(token))
	assert.Equal(t, "a~0~1", string(pointer.AppendToken(nil, []byte("a~/"))))

	path := []byte(strings.Repeat("/abc", 4000))
	seen := map[string]bool{pointer.Bounded(path): true}
	for i := range path {
		if path[i] != '/' {
			changed := bytes.Clone(path)
			changed[i] = 'x'
			cut := pointer.Bounded(changed)
			assert.LessOrEqual(t, len(cut), 4<<10+16)
			assert.False(t, seen[cut], i)
			seen[cut] = true
		}
	}
	assert.Equal(t, string(path[:4096]), pointer.Bounded(path[:4096]))
	assert.Less(t, len(pointer.Bounded([]byte("/"+strings.Repeat("x", 1<<20)))), 32)
}
