package notice_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/notice"
)

func TestALimiterLetsAFewThroughAndCountsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l notice.Limiter
		through := 0
		for range 100 {
			if skipped, ok := l.Take("a"); ok {
				assert.Zero(t, skipped)
				through++
			}
		}
		assert.Equal(t, notice.Burst, through)
		_, ok := l.Take("b")
		assert.True(t, ok, "another kind")
		time.Sleep(notice.Every)
		skipped, ok := l.Take("a")
		assert.True(t, ok)
		assert.EqualValues(t, 100-notice.Burst, skipped)
		_, ok = l.Take("a")
		assert.False(t, ok)
	})
}

func TestAnEpisodeBeginsWithALossAndEndsAfterACalm(t *testing.T) {
	var e notice.Episode
	for i, step := range []struct {
		lost         uint64
		at           time.Duration
		began, ended bool
		open         bool
	}{
		{0, 1, false, false, false},
		{3, 2, true, false, true},
		{4, 5 * time.Second, false, false, true},
		{4, 14 * time.Second, false, false, true},
		{4, 15 * time.Second, false, true, false},
		{4, 60 * time.Second, false, false, false},
		{5, 61 * time.Second, true, false, true},
	} {
		began, ended := e.Update(step.lost, step.at)
		assert.Equal(t, []bool{step.began, step.ended, step.open}, []bool{began, ended, e.Open()}, "step %d", i)
	}
}

func TestSortsAreCountedApart(t *testing.T) {
	var s notice.Sorts
	var rounds []uint64
	for range 150 {
		if n, round := s.Add([]string{"a", "b"}); round {
			rounds = append(rounds, n)
		}
	}
	assert.Equal(t, []uint64{1, 10, 100}, rounds)
	for _, other := range [][]string{{"ab"}, {"a", "b", ""}, {"", "a", "b"}, nil} {
		n, round := s.Add(other)
		assert.EqualValues(t, 1, n, "%q", other)
		assert.True(t, round)
	}
	for i := range 2000 {
		s.Add([]string{fmt.Sprint(i)})
	}
	n, _ := s.Add([]string{"one more"})
	assert.EqualValues(t, 2000-(1000-5)+1, n, "those that come later are one sort")
}
