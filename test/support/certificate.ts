// A certificate for localhost, signed by itself, good until the next century. For tests alone: its key is no secret.

export const certificate = `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUA9nyiF/jslV9HUx1tQ78HJH/UfEwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMzE1MDgwNVoYDzIxMjYxMDMw
MTUwODA1WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATx9Idov3QBKX4coi6O9h5YvtdSxPJsFN/JKH3dYIixJd56l8V+cBlb
bs+MJO2qZXScJBVmkh0U+wDMumXKgyh0o2kwZzAdBgNVHQ4EFgQUOimjrlrs6dP4
oigz3NVMOwrLnoMwHwYDVR0jBBgwFoAUOimjrlrs6dP4oigz3NVMOwrLnoMwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhALAQG2RxGspv5i/IKp6zfvJB1EXu4q5kbYsoR2+iqLSdAiEA8LVW2wlF
55CvVOZwQfjrmvVlFBkq8osMnr8lBqFdfxM=
-----END CERTIFICATE-----
`

export const certificateKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgRrV3JNMIYm6brZ2K
3TnCIOQmrYzYemGyHmyMkIYJGtGhRANCAATx9Idov3QBKX4coi6O9h5YvtdSxPJs
FN/JKH3dYIixJd56l8V+cBlbbs+MJO2qZXScJBVmkh0U+wDMumXKgyh0
-----END PRIVATE KEY-----
`
