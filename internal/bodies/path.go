package bodies

import "strings"

// comparePaths orders pointers token by token, those that are numbers by their value
// and before the others, as package jsondiff does.
func comparePaths(a, b string) int {
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		switch {
		case x != y:
			return compareTokens(x, y)
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = restA, restB
	}
}

func compareTokens(x, y string) int {
	switch i, j := isIndex(x), isIndex(y); {
	case i && j && len(x) != len(y):
		return len(x) - len(y)
	case i && !j:
		return -1
	case j && !i:
		return 1
	}
	return strings.Compare(x, y)
}

func isIndex(token string) bool {
	return token != "" && strings.Trim(token, "0123456789") == "" && (token[0] != '0' || len(token) == 1)
}
