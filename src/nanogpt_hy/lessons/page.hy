"How a lesson looks in a terminal: at most 80 columns, and plain text where there are no colours."

(eval-when-compile
  (require hyrule [unless]))
(import  math [inf]
         re
         sys
         textwrap
         rich.text [Text]
         nanogpt-hy.lab.console [plain-console]
         nanogpt-hy.lab.lisp.showing [coloured]
         nanogpt-hy.lab.lisp.twin [python-of source-of])

(setv WIDTH 80)

(defn plain [text]
  "Markdown -> text: no stars around words, no addresses behind links."
  (re.sub r"\[([^\]]+)\]\([^)]+\)" r"\1"
          (re.sub r"\*\*(\S[^*\n]*)\*\*" r"\1" text)))

(defn split-comment [line]
  "A line of code -> #(code comment), where a comment stands behind code after two blanks or more."
  (setv found (re.fullmatch r"(.*?\S)\s{2,}([;#].*)" line))
  (if found (.groups found) #(line "")))

(setv INNER  r"(?:[^\"\\]|\\.)*"       ; what stands between quotes
      STRING (re.compile f"^([ ]*)(\"\"\"{INNER}\"\"\"|\"{INNER}\")" (| re.DOTALL re.MULTILINE)))

(defn narrow [text [width WIDTH]]
  "Code, every line of which has at most WIDTH columns: docstrings are filled anew, a comment moves
  to a line of its own, and what is still too long is broken."
  (setv lines [])
  (for [line (.splitlines (.sub STRING filled text))]
    (setv [code comment] (split-comment line)
          indent (* " " (- (len line) (len (.lstrip line))))
          joined (if comment f"{code}  {comment}" code))
    (cond
      (<= (len line) width)   (.append lines line)
      (<= (len joined) width) (.append lines joined)
      True (do (when comment
                 (.extend lines (broken (+ indent comment) (+ indent "; ") width)))
               (.extend lines (broken code (+ indent "    ") width)))))
  (.join "\n" lines))

(defn filled [found]
  "The match of a docstring -> its text, with those paragraphs filled anew that are too wide."
  (setv indent (get found 1))
  (.join "\n\n" (gfor  part (.split (get found 0) "\n\n")
                        (if (any (gfor  line (.splitlines part)  (> (len line) (- WIDTH 2))))
                            (textwrap.fill (.join " " (.split part)) (- WIDTH 2)
                                           :initial-indent indent :subsequent-indent indent
                                           :break-on-hyphens False)
                            part))))

(defn broken [line indent width]
  "A line -> lines of at most WIDTH columns, broken where the fewest parentheses are open; the later
  ones begin with INDENT."
  (setv parts [])
  (while (> (len line) width)
    (setv depth 0  best None  least inf
          start (+ 12 (- (len line) (len (.lstrip line)))))
    (for [[i char] (enumerate (cut line width))]
      (setv depth (+ depth (in char "([{") (- (in char ")]}"))))
      (when (and (= char " ") (> i start) (<= depth least))
        (setv best i  least depth)))
    (when (is best None)
      (break))
    (.append parts (.rstrip (cut line best)))
    (setv line (+ indent (.lstrip (cut line best None)))))
  [#* parts line])

(defn reflow [text [start ""]]
  "Paragraphs, each filled up to 78 columns anew; START stands before the first."
  (.join "\n\n" (gfor  [i part] (enumerate (.split text "\n\n"))
                        (textwrap.fill (+ (if i "" start) (.join " " (.split part))) 78
                                       :break-on-hyphens False :break-long-words False))))

(defclass Page []
  "Where a lesson is printed. On a terminal headings and code stand out; elsewhere all is plain."

  (defn __init__ [self [out None]]
    (setv self.console (plain-console (or out sys.stdout) :soft-wrap True)
          self.blank  True                     ; whether the last line was empty
          self.unread 0                        ; lines since somebody last showed that they read
          self.wait   (fn [])))                ; what to do when the terminal is full of those

  (defn line [self [text ""] [style ""]]
    "One or more lines, as they are; text may be rich's."
    (setv shown (if (isinstance text str) (Text text :style style) text))
    (for [one (.split shown "\n" :allow-blank True)]
      (when (and one.plain (.is-full self :spare 2))
        (setv self.unread 0)
        (self.wait))
      (.print self.console one)
      (+= self.unread 1))
    (setv self.blank (not text)))

  (defn is-full [self [spare 8]]
    "Whether a terminal shows all that it can but SPARE lines that nobody has read yet."
    (and self.console.is-terminal (>= self.unread (- self.console.height spare))))

  (defn gap [self]
    "An empty line, if there is none yet."
    (unless self.blank
      (.line self)))

  (defn paragraph [self text]
    (.gap self)
    (.line self (plain text))
    (.line self))

  (defn heading [self text]
    (.gap self)
    (.line self text "bold")
    (.line self (* "-" (len text)) "bold")
    (.line self))

  (defn code [self text [mark "  "]]
    "Code, a little to the right."
    (.line self (textwrap.indent (narrow text (- WIDTH (len mark))) mark) "cyan"))

  (defn value [self text]
    "What a form gave."
    (.line self (narrow (+ "  => " (.replace text "\n" "\n     "))) "green")
    (.line self))

  (defn piece [self name [python False]]
    "The source of a piece of the project, or the Python that it becomes."
    (setv text (narrow (.rstrip (if python (python-of name) (source-of name)))))
    (.gap self)
    (.line self (if self.console.is-terminal
                  (coloured text (if python "python" "hylang"))
                  text))
    (.line self)))

(defclass Lines []
  "A file whose lines go to a PAGE."

  (defn __init__ [self page]
    (setv self.page page  self.begun ""))

  (defn write [self text]
    (setv [#* lines self.begun] (.split (+ self.begun text) "\n"))
    (for [line lines]
      (.line self.page line)))

  (defn flush [self])

  (defn end [self]
    "What was begun is a line too."
    (when self.begun
      (.write self "\n"))))
