package jsonscan

// Cursor walks the members of one object or the elements of one array, in the
// order of the document. It is a plain value: a walker that descends keeps one
// per open level on a stack of its own.
//
//	for c := jsonscan.Open(doc, start); c.Next(doc); {
//		name := doc[c.Name:c.NameEnd]          // with quotes; empty in an array
//		c.End, err = jsonscan.Value(doc, c.Start, 0)
//	}
//
// The syntax between the values is checked as the cursor moves over it.
type Cursor struct {
	Name, NameEnd int // the member's name, a string literal with its quotes; both 0 in an array
	Start         int // where the value starts
	End           int // one past the value: set by the walker before it calls Next; 0 lets Next skip the value
	Index         int // of the member or element, from 0
	MaxDepth      int // for a value that Next skips; 0 is DefaultMaxDepth

	Err   error // why Next stopped, nil at the closing bracket
	Close int   // one past the closing bracket, once Next has returned false without an error

	at    int // where to go on where no value has been visited
	close byte
}

// Open returns a cursor before the first member or element of the container
// that starts at b[i], which must be '{' or '['.
func Open(b []byte, i int) Cursor {
	return Cursor{Index: -1, at: i + 1, close: b[i] + 2} // '}' is '{'+2, ']' is '['+2
}

// Object reports whether the container is an object.
func (c *Cursor) Object() bool { return c.close == '}' }

// Next moves to the next member or element. It returns false at the closing
// bracket and at an error.
func (c *Cursor) Next(b []byte) bool {
	if c.Err != nil || c.Close != 0 {
		return false
	}
	i := c.at
	if c.Index < 0 {
		i = Space(b, i)
		if i < len(b) && b[i] == c.close {
			c.Close = i + 1
			return false
		}
	} else {
		if c.End == 0 {
			if c.End, c.Err = Value(b, c.Start, c.MaxDepth); c.Err != nil {
				return false
			}
		}
		i = Space(b, c.End)
		switch {
		case i < len(b) && b[i] == c.close:
			c.Close = i + 1
			return false
		case i >= len(b) || b[i] != ',':
			c.Err = Unexpected(b, i, "\",\" or \""+string(c.close)+"\"")
			return false
		}
		i = Space(b, i+1)
	}
	if c.Object() {
		c.Name = i
		if c.NameEnd, i, _, c.Err = Name(b, i); c.Err != nil {
			return false
		}
	}
	if i >= len(b) {
		c.Err = Unexpected(b, i, "a value")
		return false
	}
	c.Start, c.End = i, 0
	c.Index++
	return true
}
