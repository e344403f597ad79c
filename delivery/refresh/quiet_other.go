//go:build !linux

package refresh

// lowerPriority needs a priority of threads, which other systems spell otherwise
// or do not have. There compiling is as urgent as serving.
func lowerPriority() {}
