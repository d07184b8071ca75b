package config

import "strings"

// nearest finds the name that was probably meant: the one with the fewest
// slips, or the one that ends in what was written ("addr" for "http.addr").
// Case, _ and - do not count. Empty when nothing is near enough to be helpful.
func nearest(name string, known []string) string {
	plain := fold(name)
	best, slips := "", max(1, len(plain)/3)+1
	for _, k := range known {
		if d := distance(plain, fold(k)); d < slips {
			best, slips = k, d
		}
	}
	if best != "" || len(plain) < 3 {
		return best
	}
	for _, k := range known {
		if strings.HasSuffix(fold(k), plain) {
			return k
		}
	}
	return ""
}

var folder = strings.NewReplacer("_", "", "-", "")

func fold(s string) string { return folder.Replace(strings.ToLower(s)) }

// distance counts the letters to add, drop, replace or swap with their
// neighbour (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
