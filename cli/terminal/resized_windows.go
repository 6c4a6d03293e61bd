package terminal

import "os"

// resized receives nothing: Windows tells only those that read the console's events.
func resized() (<-chan os.Signal, func()) { return nil, func() {} }
