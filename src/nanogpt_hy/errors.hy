"What a user can cause: one line that names the fact, the limit and the way out."

(defclass UserError [Exception]
  "An error whose text is meant for the user; the command line prints it without a traceback."
  (setv exit-code 1))

(defclass RequestError [UserError]
  "The request was wrong: the command line exits with 2."
  (setv exit-code 2))

(defclass WorkError [UserError]
  "The request was right and the work failed: the command line exits with 1.")

(setv TOO-LITTLE ["out of memory"             ; CUDA
                  "can't allocate memory"     ; torch on a CPU
                  "ALLOC_FAILED"])            ; CUDA's libraries, when they find no place to work in

(defn out-of-memory [error]
  "Whether ERROR says that there is not enough memory. On a CPU torch has no class for that."
  (or (isinstance error MemoryError)
      (and (isinstance error RuntimeError)
           (any (gfor  words TOO-LITTLE  (in words (str error)))))))
