package pointer_test

import (
	"slices"
	"testing"

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
