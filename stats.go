package shadow

// code says how a request ended: 0 while it goes on, else the position in codes of its
// Outcome or Reason.
type code uint8

const (
	codeMatch code = iota + 1
	codeMismatch
	codeFailed
	codeUncompared

	codeNotSampled
	codeDisabled
	codeMethod
	codeSamplerFailed
	codeLoop
	codeUpgrade
	codeInvalid
	codePrimaryPanicked
	codePrimaryFailed
	codePrimaryRefused
	codePrimaryIncomplete
	codeHijacked
	codeClientGone

	codeBodyTooLarge
	codeBodyUnread
	codeBodyFailed
	codeQueueFull
	codeBytesFull
	codeMaskFailed
	codeLeak
	codeShutDown
	codeBreakerOpen
	codeOverload
	codeOverhead
	codeBudget
	codeExpired

	numCodes
)

// group is the part of Stats that a code is counted in, and its outcome in metrics.
type group string

const (
	outcome group = ""        // its own name is the outcome
	skipped group = "skipped" // Stats.Skipped
	dropped group = "dropped" // Stats.Dropped
)

// codes describes each code.
var codes = [numCodes]struct {
	name  Reason // or Outcome
	group group
	// byRoute is set where the code is about the request itself, or there was no room for its
	// copy: requests that end so before the primary runs are counted by route. Other codes of
	// that time stop all requests, whatever their routes.
	byRoute bool
	event   EventKind // that reports such losses; empty if none does
}{
	codeMatch:      {name: Reason(Match), group: outcome},
	codeMismatch:   {name: Reason(Mismatch), group: outcome},
	codeFailed:     {name: Reason(Failed), group: outcome},
	codeUncompared: {name: Reason(Uncompared), group: outcome},

	codeNotSampled:        {name: ReasonNotSampled, group: skipped},
	codeDisabled:          {name: ReasonDisabled, group: skipped},
	codeMethod:            {name: ReasonMethod, group: skipped},
	codeSamplerFailed:     {name: ReasonSamplerFailed, group: skipped},
	codeLoop:              {name: ReasonLoop, group: skipped, byRoute: true, event: EventLoop},
	codeUpgrade:           {name: ReasonUpgrade, group: skipped, byRoute: true},
	codeInvalid:           {name: ReasonInvalid, group: skipped, byRoute: true},
	codePrimaryPanicked:   {name: ReasonPrimaryPanicked, group: skipped},
	codePrimaryFailed:     {name: ReasonPrimaryFailed, group: skipped},
	codePrimaryRefused:    {name: ReasonPrimaryRefused, group: skipped},
	codePrimaryIncomplete: {name: ReasonPrimaryIncomplete, group: skipped},
	codeHijacked:          {name: ReasonHijacked, group: skipped},
	codeClientGone:        {name: ReasonClientGone, group: skipped},

	codeBodyTooLarge: {name: ReasonBodyTooLarge, group: dropped, byRoute: true, event: EventDropped},
	codeBodyUnread:   {name: ReasonBodyUnread, group: dropped, event: EventDropped},
	codeBodyFailed:   {name: ReasonBodyFailed, group: dropped, event: EventDropped},
	codeQueueFull:    {name: ReasonQueueFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeBytesFull:    {name: ReasonBytesFull, group: dropped, byRoute: true, event: EventQueueFull},
	codeMaskFailed:   {name: ReasonMaskFailed, group: dropped, event: EventMaskFailed},
	codeLeak:         {name: ReasonLeak, group: dropped, event: EventLeak},
	codeShutDown:     {name: ReasonShutDown, group: dropped},
	codeBreakerOpen:  {name: ReasonBreakerOpen, group: dropped, event: EventBreakerOpen},
	codeOverload:     {name: ReasonOverload, group: dropped, event: EventOverload},
	codeOverhead:     {name: ReasonOverhead, group: dropped, event: EventOverhead},
	codeBudget:       {name: ReasonBudget, group: dropped, event: EventBudgetSpent},
	codeExpired:      {name: ReasonExpired, group: dropped, event: EventDropped},
}

// codeOf returns the code of an outcome.
func codeOf(o Outcome) code {
	for c := codeMatch; codes[c].group == outcome; c++ {
		if codes[c].name == Reason(o) {
			return c
		}
	}
	panic("shadow: unknown outcome " + string(o))
}
