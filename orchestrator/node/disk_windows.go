package node

import "golang.org/x/sys/windows"

// diskSize is the size in bytes of the file system that has the pods' volumes, 0 if it isn't known.
func diskSize(dir string) int64 {
	path, err := windows.UTF16PtrFromString(dir)
	if dir == "" || err != nil {
		return 0
	}
	var size uint64
	if windows.GetDiskFreeSpaceEx(path, nil, &size, nil) != nil {
		return 0
	}
	return int64(size)
}
