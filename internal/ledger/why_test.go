package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/goshadow/shadow/internal/ledger"
)

func TestWhyListsTheMainReasonFirst(t *testing.T) {
	type reason string
	var lost, passed map[reason]uint64
	ledger.Put(&lost, "expired", 0)
	assert.Nil(t, lost, "what never happened has no place")
	ledger.Put(&lost, "expired", 2)
	ledger.Put(&passed, "method", 3)
	ledger.Put(&passed, "not-sampled", 3)
	assert.Equal(t, "3 method, before it could be sampled; 3 not-sampled; 2 expired; 1 not comparable",
		ledger.Why(0, 1, lost, passed, "not-sampled"))
	assert.Equal(t, "4 without an answer of the shadow", ledger.Why[reason](4, 0, nil, nil, ""))
	assert.Empty(t, ledger.Why[reason](0, 0, nil, nil, ""))
}
