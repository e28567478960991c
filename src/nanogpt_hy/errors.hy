"What a user can cause: one line that names the fact, the limit and the way out."

(defclass UserError [Exception]
  "An error whose text is meant for the user; the command line prints it without a traceback."
  (setv exit-code 1))

(defclass RequestError [UserError]
  "The request was wrong: the command line exits with 2."
  (setv exit-code 2))

(defclass WorkError [UserError]
  "The request was right and the work failed: the command line exits with 1.")
