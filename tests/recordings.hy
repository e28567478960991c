"What the tests of what is recorded share: where they can be run."

(import  pytest
         nanogpt-hy.recording [can-record])

(setv recordable (pytest.mark.skipif (not (can-record))
                                     :reason "this torch records nothing"))
